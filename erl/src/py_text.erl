%% @doc Text that callers pass.
-module(py_text).

-export([utf8/1]).

%% @doc Text as UTF-8; `error' for what is none.
-spec utf8(term()) -> {ok, binary()} | error.
utf8(Text) ->
    try unicode:characters_to_binary(Text) of
        Bytes when is_binary(Bytes) -> {ok, Bytes};
        _ -> error
    catch
        error:badarg -> error
    end.
