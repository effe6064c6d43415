//! Replies in a form that tests can compare.

use shm_proto::etf::{Limits, Reader, Token};

#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// The value, written as Erlang would.
    Value(String),
    Exception {
        kind: String,
        module: String,
        message: String,
        traceback: String,
        causes: Vec<String>,
        notes: Vec<String>,
    },
    Refused(String),
    Interrupted,
}

impl Reply {
    pub fn decode(payload: &[u8], blobs: &[u8]) -> Self {
        let (status, rest) = payload.split_first().unwrap();
        let mut reader = Reader::new(rest, Limits::default());
        let reply = match status {
            0 => Self::Value(show(&mut reader, blobs)),
            1 => {
                let text = |reader: &mut Reader<'_>| reader.text().unwrap().to_owned();
                let [kind, module, message, traceback] = [(); 4].map(|()| text(&mut reader));
                let mut causes = Vec::new();
                while reader.u8().unwrap() == 1 {
                    let [kind, _, message, _] = [(); 4].map(|()| text(&mut reader));
                    causes.push(format!("{kind}: {message}"));
                }
                let count = reader.u32().unwrap();
                let notes = (0..count).map(|_| text(&mut reader)).collect();
                Self::Exception { kind, module, message, traceback, causes, notes }
            }
            2 => Self::Refused(show(&mut reader, blobs)),
            3 => Self::Interrupted,
            other => panic!("status {other}"),
        };
        assert_eq!(reader.remaining(), 0, "bytes left over in {reply:?}");
        reply
    }

    /// The value; panics on anything else.
    pub fn value(&self) -> &str {
        match self {
            Self::Value(value) => value,
            other => panic!("not a value: {other:?}"),
        }
    }

    /// `Type: message`; panics on anything but an exception.
    pub fn error(&self) -> String {
        match self {
            Self::Exception { kind, message, .. } => format!("{kind}: {message}"),
            other => panic!("not an exception: {other:?}"),
        }
    }
}

fn show(reader: &mut Reader<'_>, blobs: &[u8]) -> String {
    let many = |reader: &mut Reader<'_>, count: u32| -> String {
        (0..count).map(|_| show(reader, blobs)).collect::<Vec<_>>().join(",")
    };
    match reader.next().unwrap() {
        Token::None => "none".into(),
        Token::True => "true".into(),
        Token::False => "false".into(),
        Token::Nan => "nan".into(),
        Token::Inf => "infinity".into(),
        Token::NegInf => "neg_infinity".into(),
        Token::Int(value) => value.to_string(),
        Token::Big { negative, magnitude } => format!("big({negative},{magnitude:?})"),
        Token::Float(value) => format!("{value:?}"),
        Token::Binary(data) | Token::Bytes(data) => binary(data),
        Token::Str(text) => binary(text.as_bytes()),
        Token::Atom(name) => name.into(),
        Token::Nil => "[]".into(),
        Token::List(count) => {
            let items = many(reader, count);
            assert_eq!(reader.next().unwrap(), Token::Nil);
            format!("[{items}]")
        }
        Token::ByteList(bytes) => format!("{bytes:?}").replace(' ', ""),
        Token::Tuple(count) => format!("{{{}}}", many(reader, count)),
        Token::Map(count) => format!("#{{{}}}", many(reader, count * 2)),
        Token::Blob { offset, len, .. } => binary(&blobs[offset as usize..][..len as usize]),
        other => format!("{other:?}"),
    }
}

fn binary(data: &[u8]) -> String {
    match std::str::from_utf8(data) {
        Ok(text) if data.len() <= 100 => format!("\"{text}\""),
        Ok(_) => format!("<<{} bytes of text>>", data.len()),
        Err(_) => format!("<<{} bytes>>", data.len()),
    }
}
