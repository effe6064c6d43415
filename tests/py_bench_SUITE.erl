%% The benchmark: its arithmetic, and a run as short as possible.
-module(py_bench_SUITE).

-compile([export_all, nowarn_export_all]).
-include_lib("stdlib/include/assert.hrl").

suite() -> [{timetrap, {seconds, 120}}].

all() -> [percentiles, buckets, run].

percentiles(_) ->
    Counts = [{1.0, 50}, {2.0, 40}, {3.0, 9}, {4.0, 1}],
    1.0 = py_unified_bench:percentile(0.5, Counts),
    2.0 = py_unified_bench:percentile(0.51, Counts),
    2.0 = py_unified_bench:percentile(0.9, Counts),
    3.0 = py_unified_bench:percentile(0.99, Counts),
    4.0 = py_unified_bench:percentile(0.999, Counts),
    4.0 = py_unified_bench:percentile(1.0, Counts),
    7.0 = py_unified_bench:percentile(0.5, [{7.0, 1}]).

buckets(_) ->
    lists:foreach(
        fun(Nanoseconds) ->
            Middle = py_unified_bench:value(py_unified_bench:bucket(Nanoseconds)),
            ?assert(abs(Middle / Nanoseconds - 1) < 0.011)
        end,
        [2, 3, 10, 99, 1000, 12345, 1000000, 123456789, 10000000000]
    ),
    1 = py_unified_bench:bucket(0),
    1 = py_unified_bench:bucket(1).

run(_) ->
    ok = py_test:start(),
    Rows = py_unified_bench:run_all(#{duration => 200, warmup => 50, callers => [10], workers => 2}),
    4 = length(Rows),
    lists:foreach(
        fun(#{ops := Ops, ops_per_s := Rate, p50 := P50, p90 := P90, p99 := P99, p999 := P999, max := Max}) ->
            ?assert(Ops > 0),
            ?assert(Rate > 0),
            ?assert(P50 =< P90 andalso P90 =< P99 andalso P99 =< P999 andalso P999 =< Max)
        end,
        Rows
    ),
    py_test:stop().
