%% The generators of py_stream_SUITE.
-module(py_stream_code).

-export([python/0, start/0]).

python() ->
    <<"
        log = []

        def numbers(n, name=None):
            try:
                for i in range(n):
                    if name is not None:
                        log.append((name, i))
                    yield i
            finally:
                if name is not None:
                    log.append((name, 'end'))

        def telling(key):
            import erlang
            try:
                while True:
                    erlang.state_set('at', key)
                    yield key
            finally:
                erlang.state_set(key, 'end')

        def failing(n):
            yield from range(n)
            raise ValueError('no more')

        def sleeping(name, seconds=3600):
            import time
            try:
                yield 1
                log.append((name, 'sleeps'))
                time.sleep(seconds)
                yield 2
            finally:
                log.append((name, 'end'))

        def bad_end():
            try:
                while True:
                    yield 1
            finally:
                raise ValueError('in finally')

        def no_end():
            while True:
                try:
                    yield 1
                except GeneratorExit:
                    pass

        def hanging(name):
            import time
            try:
                yield 1
                log.append((name, 'sleeps'))
                time.sleep(3600)
            finally:
                log.append((name, 'finally'))
                time.sleep(3600)

        def stubborn(name):
            import time
            try:
                yield 1
                log.append((name, 'sleeps'))
                try:
                    time.sleep(3600)
                except BaseException:
                    pass
                while True:
                    yield 2
            finally:
                log.append((name, 'end'))

        def odd(name):
            try:
                yield 1
                yield object()
                log.append((name, 'went on'))
            finally:
                log.append((name, 'end'))

        class Closable:
            def __init__(self, name):
                self.name = name

            def __iter__(self):
                return self

            def __next__(self):
                return 1

            def close(self):
                log.append((self.name, 'closed'))

        def sending(pid, n):
            for i in range(n):
                erlang.send(pid, ('sent', i))
                yield i

        def calling(n):
            for i in range(n):
                yield (erlang.call('double', i), erlang.call('stream_it', i))

        async def anumbers(n, name=None):
            import asyncio
            try:
                for i in range(n):
                    if name is not None:
                        log.append((name, i))
                    if i % 3 == 1:
                        await asyncio.sleep(0)
                    yield i
            finally:
                if name is not None:
                    await asyncio.sleep(0)
                    log.append((name, 'end'))

        async def afailing(n):
            for i in range(n):
                yield i
            raise ValueError('no more')

        async def asleeping(name):
            import asyncio
            try:
                yield 1
                log.append((name, 'sleeps'))
                await asyncio.sleep(3600)
                yield 2
            finally:
                log.append((name, 'end'))

        async def abad_end():
            try:
                while True:
                    yield 1
            finally:
                raise ValueError('in finally')

        async def ano_end():
            while True:
                try:
                    yield 1
                except GeneratorExit:
                    pass

        async def astubborn(name):
            import asyncio
            try:
                yield 1
                log.append((name, 'sleeps'))
                try:
                    await asyncio.sleep(3600)
                except BaseException:
                    pass
                while True:
                    yield 2
            finally:
                log.append((name, 'end'))

        async def aodd(name):
            try:
                yield 1
                yield object()
                log.append((name, 'went on'))
            finally:
                log.append((name, 'end'))

        async def acalling(n):
            for i in range(n):
                yield await erlang.async_call('double', i)

        async def ameeting(mine, other):
            import asyncio
            for i in range(5):
                met.setdefault((mine, i), asyncio.Event()).set()
                await met.setdefault((other, i), asyncio.Event()).wait()
                yield i

        met = {}

        async def opens(n, kind):
            return {'async': anumbers, 'sync': numbers, 'value': int}[kind](n)

        class Closes:
            def __init__(self, name):
                self.name = name

            def __aiter__(self):
                return self

            async def __anext__(self):
                return 1

            async def aclose(self):
                log.append((self.name, 'closed'))

        def seen(name):
            return [what for (who, what) in log if who == name]
    ">>.

%% Starts the application with that program: pool `single' has one executor, `watched' one more, which sees how far the other is.
start() ->
    ok = py_test:start(),
    ok = py_test:define(python()),
    ok = py_pool:start_pool(single, #{num_workers => 1, preload => python()}),
    py_pool:start_pool(watched, #{num_workers => 1, num_executors => 2, preload => python()}).
