%% The generators of py_stream_SUITE.
-module(py_stream_code).

-export([python/0]).

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

        def seen(name):
            return [what for (who, what) in log if who == name]
    ">>.
