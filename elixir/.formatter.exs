[inputs: ["{mix,.formatter}.exs", "{lib,gen,test}/**/*.{ex,exs}"], line_length: 120]
