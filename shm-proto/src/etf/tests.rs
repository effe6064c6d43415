use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug, PartialEq)]
enum Value {
    None,
    Bool(bool),
    Float(f64),
    Special(u8),
    Int(i64),
    Big(bool, Vec<u8>),
    Binary(Vec<u8>),
    Bytes(Vec<u8>),
    Str(String),
    Atom(String),
    List(Vec<Value>),
    Tuple(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Blob(BlobKind, u64, u64),
    Opaque(OpaqueKind, Vec<u8>),
    Object(ObjectKind, u64),
    Array(String, Vec<u64>, Vec<u8>),
}

fn write(writer: &mut Writer<'_>, value: &Value) {
    let fits = "the generator makes short values";
    match value {
        Value::None => writer.none(),
        Value::Bool(value) => writer.bool(*value),
        Value::Float(value) => writer.float(*value),
        Value::Special(0) => writer.float(f64::NAN),
        Value::Special(1) => writer.float(f64::INFINITY),
        Value::Special(_) => writer.float(f64::NEG_INFINITY),
        Value::Int(value) => writer.int(*value),
        Value::Big(negative, magnitude) => writer.big(*negative, magnitude).expect(fits),
        Value::Binary(data) => writer.binary(data).expect(fits),
        Value::Bytes(data) => writer.bytes(data).expect(fits),
        Value::Str(text) => writer.str(text).expect(fits),
        Value::Atom(text) => writer.atom(text).expect(fits),
        Value::List(elements) => {
            if !elements.is_empty() {
                writer.list_header(elements.len() as u32);
                elements.iter().for_each(|element| write(writer, element));
            }
            writer.nil();
        }
        Value::Tuple(elements) => {
            writer.tuple_header(elements.len() as u32);
            elements.iter().for_each(|element| write(writer, element));
        }
        Value::Map(pairs) => {
            writer.map_header(pairs.len() as u32);
            for (key, value) in pairs {
                write(writer, key);
                write(writer, value);
            }
        }
        Value::Blob(kind, offset, len) => writer.blob(*kind, *offset, *len),
        Value::Opaque(kind, data) => writer.opaque(*kind, data).expect(fits),
        Value::Object(kind, id) => writer.object(*kind, *id),
        Value::Array(dtype, shape, data) => {
            writer.ndarray_header(dtype, shape).expect(fits);
            writer.bytes(data).expect(fits);
        }
    }
}

/// `next`, beside which `short_int` must do the same or nothing.
fn next<'a>(reader: &mut Reader<'a>) -> Result<Token<'a>, EtfError> {
    let (before, mut other) = (format!("{reader:?}"), reader.clone());
    let short = other.short_int();
    let token = reader.next();
    match short {
        Some(value) => {
            assert_eq!(token, Ok(Token::Int(value.into())));
            assert_eq!(format!("{other:?}"), format!("{reader:?}"));
        }
        None => assert_eq!(format!("{other:?}"), before),
    }
    token
}

fn read(reader: &mut Reader<'_>) -> Result<Value, EtfError> {
    Ok(match next(reader)? {
        Token::None => Value::None,
        Token::True => Value::Bool(true),
        Token::False => Value::Bool(false),
        Token::Nan => Value::Special(0),
        Token::Inf => Value::Special(1),
        Token::NegInf => Value::Special(2),
        Token::Int(value) => Value::Int(value),
        Token::Big { negative, magnitude } => Value::Big(negative, magnitude.to_vec()),
        Token::Float(value) => Value::Float(value),
        Token::Binary(data) => Value::Binary(data.to_vec()),
        Token::Bytes(data) => Value::Bytes(data.to_vec()),
        Token::Str(text) => Value::Str(text.to_owned()),
        Token::Atom(text) => Value::Atom(text.to_owned()),
        Token::Nil => Value::List(Vec::new()),
        Token::List(count) => {
            let list = (0..count).map(|_| read(reader)).collect::<Result<_, _>>()?;
            if reader.next()? != Token::Nil {
                return Err(EtfError::UnknownTag(0));
            }
            Value::List(list)
        }
        Token::ByteList(bytes) => Value::List(bytes.iter().map(|byte| Value::Int(i64::from(*byte))).collect()),
        Token::Tuple(count) => Value::Tuple((0..count).map(|_| read(reader)).collect::<Result<_, _>>()?),
        Token::Map(count) => {
            Value::Map((0..count).map(|_| Ok((read(reader)?, read(reader)?))).collect::<Result<_, EtfError>>()?)
        }
        Token::Blob { kind, offset, len } => Value::Blob(kind, offset, len),
        Token::Opaque { kind, data } => Value::Opaque(kind, data.to_vec()),
        Token::Object { kind, id } => Value::Object(kind, id),
        Token::Ndarray { dtype, shape } => match reader.next()? {
            Token::Bytes(data) => Value::Array(dtype.to_owned(), shape.collect(), data.to_vec()),
            _ => return Err(EtfError::UnknownTag(0)),
        },
        Token::AsTuple => read(reader)?,
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::None),
        any::<bool>().prop_map(Value::Bool),
        any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(Value::Float),
        (0u8..3).prop_map(Value::Special),
        any::<i64>().prop_map(Value::Int),
        (-70_000i64..70_000).prop_map(Value::Int),
        (any::<bool>(), prop::collection::vec(any::<u8>(), 9..300), 1u8..).prop_map(
            |(negative, mut magnitude, top)| {
                magnitude.push(top);
                Value::Big(negative, magnitude)
            }
        ),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Binary),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
        ".{0,20}".prop_map(Value::Str),
        ".{0,255}".prop_map(Value::Atom),
        (any::<u64>(), any::<u64>()).prop_map(|(offset, len)| Value::Blob(BlobKind::Buffer, offset, len)),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(|data| Value::Opaque(OpaqueKind::Fun, data)),
        any::<u64>().prop_map(|id| Value::Object(ObjectKind::Generator, id)),
        (".{0,8}", prop::collection::vec(any::<u64>(), 0..4), prop::collection::vec(any::<u8>(), 0..9))
            .prop_map(|(dtype, shape, data)| Value::Array(dtype, shape, data)),
    ];
    leaf.prop_recursive(5, 200, 12, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(Value::List),
            prop::collection::vec(inner.clone(), 0..12).prop_map(Value::Tuple),
            prop::collection::vec((inner.clone(), inner), 0..6).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read(expected in value()) {
        let mut bytes = Vec::new();
        write(&mut Writer::new(&mut bytes), &expected);
        let mut reader = Reader::new(&bytes, Limits::default());
        prop_assert_eq!(read(&mut reader), Ok(expected));
        prop_assert_eq!(reader.remaining(), 0);
    }

    #[test]
    fn every_prefix_of_a_value_is_an_error(expected in value(), cut in any::<prop::sample::Index>()) {
        let mut bytes = Vec::new();
        write(&mut Writer::new(&mut bytes), &expected);
        let cut = cut.index(bytes.len());
        prop_assert!(read(&mut Reader::new(&bytes[..cut], Limits::default())).is_err());
    }

    #[test]
    fn hostile_bytes_end_in_a_value_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..200), start in value()) {
        let mut valid = Vec::new();
        write(&mut Writer::new(&mut valid), &start);
        for (index, byte) in bytes.iter_mut().enumerate().skip(1) {
            if let (true, Some(good)) = (*byte > 20, valid.get(index)) {
                *byte = *good;
            }
        }
        let mut reader = Reader::new(&bytes, Limits::default());
        let mut before = reader.remaining();
        while let Ok(token) = reader.next() {
            let announced = match token {
                Token::List(count) | Token::Tuple(count) => count as usize,
                Token::Map(count) => count as usize * 2,
                _ => 0,
            };
            prop_assert!(announced <= reader.remaining());
            prop_assert!(reader.remaining() < before, "every token takes at least a byte");
            before = reader.remaining();
        }
    }

    #[test]
    fn raw_fields_round_trip(name in ".{0,40}", text in ".{0,40}", number in any::<u32>(), byte in any::<u8>()) {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes);
        writer.name(&name).unwrap();
        writer.text(&text).unwrap();
        writer.u32(number);
        writer.u8(byte);
        let mut reader = Reader::new(&bytes, Limits::default());
        prop_assert_eq!(reader.name(), Ok(name.as_str()));
        prop_assert_eq!(reader.text(), Ok(text.as_str()));
        prop_assert_eq!(reader.u32(), Ok(number));
        prop_assert_eq!(reader.u8(), Ok(byte));
        prop_assert_eq!(reader.u8(), Err(EtfError::Truncated));
    }
}

/// The node writes these bytes for these terms (`term_to_binary/1` without its first byte).
#[test]
fn bytes_are_those_of_the_beam() {
    type Case = (&'static [u8], fn(&mut Writer<'_>));
    let cases: [Case; 9] = [
        (&[97, 255], |writer| writer.int(255)),
        (&[98, 255, 255, 255, 255], |writer| writer.int(-1)),
        (&[98, 0, 0, 1, 0], |writer| writer.int(256)),
        (&[110, 4, 0, 0, 0, 0, 128], |writer| writer.int(1 << 31)),
        (&[110, 8, 1, 0, 0, 0, 0, 0, 0, 0, 128], |writer| writer.int(i64::MIN)),
        (&[70, 63, 248, 0, 0, 0, 0, 0, 0], |writer| writer.float(1.5)),
        (&[119, 2, b'o', b'k'], |writer| writer.atom("ok").unwrap()),
        (&[109, 0, 0, 0, 1, b'x'], |writer| writer.binary(b"x").unwrap()),
        (&[104, 0], |writer| writer.tuple_header(0)),
    ];
    for (expected, make) in cases {
        let mut bytes = Vec::new();
        make(&mut Writer::new(&mut bytes));
        assert_eq!(bytes, expected);
    }
}

#[test]
fn integers_have_one_reading() {
    let padded: [u8; 14] = [110, 11, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(Reader::new(&padded, Limits::default()).next(), Ok(Token::Int(-5)));
    let least: [u8; 11] = [110, 8, 1, 0, 0, 0, 0, 0, 0, 0, 128];
    assert_eq!(Reader::new(&least, Limits::default()).next(), Ok(Token::Int(i64::MIN)));
    let next: [u8; 11] = [110, 8, 0, 0, 0, 0, 0, 0, 0, 0, 128];
    assert!(matches!(Reader::new(&next, Limits::default()).next(), Ok(Token::Big { negative: false, .. })));
    for value in [0, 255, 256, -1, i32::MAX, i32::MIN] {
        let mut bytes = Vec::new();
        Writer::new(&mut bytes).int(value.into());
        assert_eq!(Reader::new(&bytes, Limits::default()).short_int(), Some(value));
        assert_eq!(Reader::new(&bytes[..bytes.len() - 1], Limits::default()).short_int(), None);
        assert_eq!(Reader::new(&bytes, Limits { bytes: 8, elements: 0 }).short_int(), None);
    }
}

#[test]
fn nested_counts_are_checked_together() {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    writer.tuple_header(30);
    writer.tuple_header(30);
    bytes.resize(40, tags::NONE);
    let mut reader = Reader::new(&bytes, Limits::default());
    assert_eq!(reader.next(), Ok(Token::Tuple(30)));
    assert_eq!(reader.next(), Err(EtfError::Count));
}

#[test]
fn limits_hold() {
    let bytes = [tags::NONE; 8];
    let mut reader = Reader::new(&bytes, Limits { bytes: 8, elements: 2 });
    assert_eq!(reader.next(), Ok(Token::None));
    assert_eq!(reader.next(), Ok(Token::None));
    assert_eq!(reader.next(), Err(EtfError::Limit));
    assert_eq!(Reader::new(&bytes, Limits { bytes: 7, elements: 2 }).next(), Err(EtfError::Limit));
}

#[test]
fn lengths_beyond_their_field_are_refused() {
    let long = "x".repeat(65_536);
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    assert!(writer.atom(&long).is_err());
    assert!(writer.name(&long).is_err());
    assert!(writer.ndarray_header("d", &[1; 256]).is_err());
    assert!(bytes.is_empty());
}

#[test]
fn floats_that_have_their_own_tag_are_not_read_as_numbers() {
    let mut bytes = vec![tags::NEW_FLOAT];
    bytes.extend_from_slice(&f64::NAN.to_bits().to_be_bytes());
    assert_eq!(Reader::new(&bytes, Limits::default()).next(), Err(EtfError::Float));
}
