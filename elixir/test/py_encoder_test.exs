defmodule Py.EncoderTest do
  use ExUnit.Case

  defmodule Item do
    @derive {Py.Encoder, only: [:name, :price]}
    defstruct [:name, :price, :secret]
  end

  defmodule Point do
    @derive Py.Encoder
    defstruct x: 1, y: 2
  end

  defmodule Plain do
    defstruct [:a]
  end

  defimpl Py.Encoder, for: Time do
    def encode(time), do: Time.to_iso8601(time)
  end

  test "a struct that derives it is a dict of the fields that were named" do
    assert Py.eval!("sorted(x.items())", x: %Item{name: "tea", price: 3, secret: self()}) == [
             {"name", "tea"},
             {"price", 3}
           ]

    assert Py.call!(:builtins, :len, [%Point{}]) == 2
  end

  test "structs are found wherever they are" do
    assert Py.eval!("x", x: [1, {%Point{x: 5}, %{"d" => ~T[12:00:00]}}, %{at: [~T[13:00:00]]}]) ==
             [1, {%{"x" => 5, "y" => 2}, %{"d" => "12:00:00"}}, %{"at" => ["13:00:00"]}]

    assert [{:ok, 2}] = Py.parallel!([{:builtins, :len, [%Point{}]}])
    assert Py.await!(Py.async(:builtins, :len, [%Point{}])) == 2
  end

  test "any other struct is refused, with what to do" do
    error = assert_raise Protocol.UndefinedError, fn -> Py.call(:builtins, :repr, [[%Plain{a: 1}]]) end
    assert Exception.message(error) =~ "@derive {Py.Encoder"
    assert Exception.message(error) =~ "Py.EncoderTest.Plain"
    assert_raise Protocol.UndefinedError, fn -> Py.eval("x", x: 1..3) end
  end

  test "terms without structs are handed on as they are" do
    term = [1, {2, %{a: [3]}}, [4 | 5]]
    assert :erts_debug.same(Py.Encoder.Terms.encode(term), term)
  end

  test "fields that do not exist are an error when the struct is compiled" do
    assert_raise ArgumentError, ~r/cannot derive Py.Encoder/, fn ->
      defmodule Wrong do
        @derive {Py.Encoder, only: [:b]}
        defstruct [:a]
      end
    end
  end
end
