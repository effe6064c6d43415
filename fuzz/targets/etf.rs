//! The codec of both sides: whatever is read can be written, and reads the same again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shm_proto::etf::{EtfError, Limits, Reader, Token, Writer};

fuzz_target!(|data: &[u8]| {
    let (limits, data) = match data.split_first() {
        Some((0, rest)) => (Limits { bytes: 64, elements: 16 }, rest),
        Some((_, rest)) => (Limits::default(), rest),
        None => return,
    };
    let mut reader = Reader::new(data, limits);
    let (mut copy, mut tokens) = (Vec::new(), Vec::new());
    let mut before = reader.remaining();
    while let Ok(token) = reader.next() {
        let announced = match token {
            Token::List(count) => count as usize + 1,
            Token::Tuple(count) => count as usize,
            Token::Map(count) => count as usize * 2,
            Token::AsTuple | Token::Ndarray { .. } => 1,
            _ => 0,
        };
        assert!(announced <= reader.remaining() && reader.remaining() < before);
        assert_eq!(reader.position() + reader.remaining(), data.len());
        before = reader.remaining();
        write(&mut Writer::new(&mut copy), &token);
        tokens.push(token);
    }
    let mut again = Reader::new(&copy, Limits::default());
    for token in &tokens {
        match token {
            // A byte list is written as an ordinary one.
            Token::ByteList(bytes) => {
                if !bytes.is_empty() {
                    match again.next() {
                        Err(EtfError::Count) => return,
                        header => assert_eq!(header, Ok(Token::List(bytes.len() as u32))),
                    }
                    bytes.iter().for_each(|byte| assert_eq!(again.next(), Ok(Token::Int(i64::from(*byte)))));
                }
                assert_eq!(again.next(), Ok(Token::Nil));
            }
            // What it announced may have been cut off.
            Token::List(_) | Token::Tuple(_) | Token::Map(_) | Token::AsTuple | Token::Ndarray { .. } => {
                match again.next() {
                    Err(EtfError::Count) => return,
                    same => assert_eq!(same.as_ref(), Ok(token)),
                }
            }
            token => assert_eq!(again.next().as_ref(), Ok(token)),
        }
    }
    let mut raw = Reader::new(data, limits);
    while raw.name().is_ok() && raw.text().is_ok() && raw.u32().is_ok() && raw.u8().is_ok() {}
});

fn write(writer: &mut Writer<'_>, token: &Token<'_>) {
    let fits = "it came out of as many bytes";
    match token {
        Token::None => writer.none(),
        Token::True => writer.bool(true),
        Token::False => writer.bool(false),
        Token::Nan => writer.nan(),
        Token::Inf => writer.inf(),
        Token::NegInf => writer.neg_inf(),
        Token::Int(value) => writer.int(*value),
        Token::Big { negative, magnitude } => writer.big(*negative, magnitude).expect(fits),
        Token::Float(value) => writer.float(*value),
        Token::Binary(data) => writer.binary(data).expect(fits),
        Token::Bytes(data) => writer.bytes(data).expect(fits),
        Token::Str(text) => writer.str(text).expect(fits),
        Token::Atom(text) => writer.atom(text).expect(fits),
        Token::Nil => writer.nil(),
        Token::List(count) => writer.list_header(*count),
        Token::ByteList(bytes) => {
            if !bytes.is_empty() {
                writer.list_header(bytes.len() as u32);
                bytes.iter().for_each(|byte| writer.int(i64::from(*byte)));
            }
            writer.nil();
        }
        Token::Tuple(count) => writer.tuple_header(*count),
        Token::Map(count) => writer.map_header(*count),
        Token::Blob { kind, offset, len } => writer.blob(*kind, *offset, *len),
        Token::Ndarray { dtype, shape } => {
            let shape: Vec<u64> = shape.clone().collect();
            writer.ndarray_header(dtype, &shape).expect(fits);
        }
        Token::Opaque { kind, data } => writer.opaque(*kind, data).expect(fits),
        Token::Object { kind, id } => writer.object(*kind, *id),
        Token::AsTuple => writer.as_tuple(),
    }
}
