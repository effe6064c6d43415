# What the Elixir API calls the functions of the public Erlang modules. Every exported function that is not @private has exactly one
# line; `mix py.gen.api` stops at one that has none, at a clash and at a reserved word.
#
#   {Module, doc, [line]} with lines
#     {{:py, :name}, :new_name}            all arities; those that differ in keyword arguments and options are one function with
#                                          defaults, if the longest without any does what the others do
#     {{:py, :name, arity}, :new_name}     one arity
#   delegates: {Module, head, to}          functions written by hand
#   same: {erlang, erlang}                 the first is the second under another name, or with fewer arguments
#   left_out: {erlang, reason}
#   options: names of the types in Py.Options, by the modules that define them
#   texts: what the docs of those types say in Erlang's terms, and how it is said here
#   results: {erlang, kind}                where the spec does not say what the result is made of
%{
  modules: [
    {Py,
     """
     Python from Elixir.

         {:ok, 4.0} = Py.call(:math, :sqrt, [16])
         30 = Py.eval!("sum(x * x for x in range(n))", n: 5)

     Module and function are atoms or strings; dotted names work. Positional arguments are a list, keyword arguments a keyword list
     or a map. Python's `None` is `nil`. A result is `{:ok, value}` or `{:error, %Py.Error{}}`; the twin with `!` returns the value or
     raises the error. The default timeout is 30 seconds. Work whose time is over, or whose caller has died, is cancelled.
     """,
     [
       {{:py, :call}, :call},
       {{:py, :eval}, :eval},
       {{:py, :exec}, :exec},
       {{:py, :cast}, :cast},
       {{:py, :spawn_call}, :async},
       {{:py, :await}, :await},
       {{:py, :cancel}, :cancel},
       {{:py, :interrupt}, :interrupt},
       {{:py, :parallel}, :parallel},
       {{:py, :bind, 0}, :bind},
       {{:py, :unbind, 0}, :unbind},
       {{:py, :is_bound}, :bound?},
       {{:py, :with_context}, :with_context},
       {{:py, :exec_all}, :exec_all},
       {{:py, :reload}, :reload},
       {{:py, :configure_logging}, :configure_logging},
       {{:py, :version}, :version},
       {{:py, :execution_mode}, :execution_mode},
       {{:py, :execution_info}, :execution_info},
       {{:py, :num_executors}, :num_executors},
       {{:py, :subinterp_supported}, :subinterp_supported?},
       {{:py, :workers}, :workers},
       {{:py, :stats}, :stats},
       {{:py, :diagnose}, :diagnose},
       {{:py, :stacks}, :stacks},
       {{:py_stacks, :format}, :format_stacks},
       {{:py, :top}, :top}
     ]},
    {Py.Async, "Work of an event loop: coroutines run side by side in one worker.",
     [
       {{:py, :async_call}, :call},
       {{:py, :async_await}, :await},
       {{:py, :async_gather}, :gather},
       {{:py, :async_stream}, :stream}
     ]},
    {Py.Stream,
     """
     Items of iterators and generators, as a list, or one by one by hand. `Py.stream!/5` gives them as a lazy `Enumerable`.
     """,
     [
       {{:py, :stream}, :to_list},
       {{:py, :stream_eval}, :eval_to_list},
       {{:py, :stream_start}, :start},
       {{:py, :stream_eval_start}, :eval_start},
       {{:py, :stream_next}, :next},
       {{:py, :stream_credit}, :credit},
       {{:py, :stream_cancel}, :cancel}
     ]},
    {Py.Context, "A worker of one's own, as a term that any process of the node may use.",
     [
       {{:py, :bind, 1}, :new},
       {{:py, :unbind, 1}, :close},
       {{:py, :ctx_call}, :call},
       {{:py, :ctx_eval}, :eval},
       {{:py, :ctx_exec}, :exec},
       {{:py, :ctx_async_call}, :async_call}
     ]},
    {Py.Object, "Python objects that stay in their worker; options `return: :ref` and `unknown: :ref` give them.",
     [
       {{:py, :call_method}, :call},
       {{:py, :getattr}, :getattr},
       {{:py, :to_term}, :to_term},
       {{:py, :is_ref}, :object?},
       {{:py, :release}, :release}
     ]},
    {Py.Callback, "Functions of this node that Python can call.",
     [
       {{:py, :register_function}, :register},
       {{:py, :unregister_function}, :unregister},
       {{:py_callback, :lookup}, :lookup}
     ]},
    {Py.State, "Values shared by the processes of the node and all workers.",
     [
       {{:py, :state_fetch}, :fetch},
       {{:py, :state_store}, :store},
       {{:py, :state_remove}, :remove},
       {{:py, :state_keys}, :keys},
       {{:py, :state_clear}, :clear},
       {{:py, :state_incr}, :incr},
       {{:py, :state_decr}, :decr}
     ]},
    {Py.Pool,
     """
     Named pools of workers. A pool stands under a supervisor as `{Py.Pool, name: :models, num_workers: 2}`.
     """,
     [
       {{:py_pool, :start_pool}, :start},
       {{:py_pool, :stop_pool}, :stop},
       {{:py_pool, :resize}, :resize},
       {{:py_pool, :get_stats}, :stats}
     ]},
    {Py.Semaphore, "The bound on concurrent requests of the node.",
     [
       {{:py_semaphore, :acquire}, :acquire},
       {{:py_semaphore, :release}, :release},
       {{:py_semaphore, :current}, :current},
       {{:py_semaphore, :max_concurrent}, :max_concurrent},
       {{:py_semaphore, :set_max_concurrent}, :set_max_concurrent}
     ]},
    {Py.Top, "A live view of pools, workers and the slowest requests; `Py.top/1` shows it in the shell.",
     [
       {{:py_top, :snapshot}, :snapshot},
       {{:py_top, :format}, :format}
     ]},
    {Py.Events,
     """
     Events about calls that fail, are late or slow, about workers and pools, in the shape of `:telemetry`:

         :ok = Py.Events.attach(:bridge, Py.Events.names(), fn event, measurements, metadata, _ ->
           :telemetry.execute(event, measurements, metadata)
         end, nil)
     """,
     [
       {{:py_events, :attach}, :attach},
       {{:py_events, :detach}, :detach},
       {{:py_events, :list}, :list},
       {{:py_events, :names}, :names}
     ]},
    {Py.Venv, "Virtual environments.",
     [
       {{:py, :activate_venv}, :activate},
       {{:py, :deactivate_venv}, :deactivate},
       {{:py, :venv_info}, :info},
       {{:py, :ensure_venv}, :ensure}
     ]},
    {Py.Doctor, "What this machine, this node and the configured Pythons are like, what is wrong, and how to mend it.",
     [
       {{:py_doctor, :check, 0}, :check},
       {{:py_doctor, :check, 1}, :check_pool}
     ]},
    {Py.Memory, "Memory of the interpreters.",
     [
       {{:py, :memory_stats}, :stats},
       {{:py, :gc}, :gc},
       {{:py, :tracemalloc_start}, :tracemalloc_start},
       {{:py, :tracemalloc_stop}, :tracemalloc_stop}
     ]},
    {Py.Tracing, "How long what takes in Python: the spans of `erlang.Span` and `erlang.trace`.",
     [
       {{:py, :enable_tracing}, :enable},
       {{:py, :disable_tracing}, :disable},
       {{:py, :get_traces}, :spans},
       {{:py, :clear_traces}, :clear}
     ]},
    {Py.ASGI, "Requests to Python web applications (ASGI 3.0, HTTP).",
     [
       {{:py_asgi, :run}, :run},
       {{:py_asgi, :run_async}, :run_async},
       {{:py_asgi, :await_response}, :await_response},
       {{:py_asgi, :build_scope}, :build_scope},
       {{:py_asgi, :run_stream}, :run_stream},
       {{:py_asgi, :feed}, :feed},
       {{:py_asgi, :credit}, :credit},
       {{:py_asgi, :cancel}, :cancel}
     ]},
    {Py.WSGI, "Requests to Python web applications (WSGI, PEP 3333).", [{{:py_wsgi, :run}, :run}]}
  ],
  delegates: [
    {Py, "stream!(module, function, args, kwargs \\\\ [], opts \\\\ [])", Py.Lazy},
    {Py, "stream_eval!(code, locals \\\\ [], opts \\\\ [])", Py.Lazy},
    {Py.Pool, "child_spec(opts)", Py.Pool.Server},
    {Py.Pool, "start_link(opts)", Py.Pool.Server}
  ],
  same: [
    {{:py, :call_async}, {:py, :spawn_call}},
    {{:py_async_driver, :submit}, {:py, :async_call}},
    {{:py_callback, :register}, {:py, :register_function}},
    {{:py_callback, :unregister}, {:py, :unregister_function}},
    {{:py_state, :fetch}, {:py, :state_fetch}},
    {{:py_state, :store}, {:py, :state_store}},
    {{:py_state, :remove}, {:py, :state_remove}},
    {{:py_state, :keys}, {:py, :state_keys}},
    {{:py_state, :clear}, {:py, :state_clear}},
    {{:py_state, :incr}, {:py, :state_incr}},
    {{:py_state, :decr}, {:py, :state_decr}}
  ],
  left_out: [
    {{:py_unified_bench, :run_all}, "the benchmark of this repository"},
    {{:py_gen, :generate}, "writes Erlang; mix py.gen writes Elixir"},
    {{:py_gen, :check}, "of Erlang"},
    {{:py_gen, :main}, "of Erlang"}
  ],
  # The types of Py.Options, by the modules that define the options.
  options: %{
    py_options: :call,
    py_stream: :stream,
    py_context: :context,
    py_asgi: :asgi,
    py_wsgi: :wsgi,
    py_venv: :venv,
    py_logger: :logging,
    py_top: :top
  },
  texts: [
    {"A timeout in milliseconds, or a map. ", "`timeout' is in milliseconds. "},
    {"an Erlang counterpart", "a counterpart"}
  ],
  results: [
    # What the function returns is the caller's.
    {{:py, :with_context}, :raw},
    # A list with results in it.
    {{:py, :parallel}, :nested},
    {{:py, :async_gather}, :gathered}
  ]
}
