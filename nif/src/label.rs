//! What a request is called where people look at it: names of module and function, or the beginning of the code.
//!
//! Taken where a request becomes pending, so that a call that its caller watches to its end pays nothing.

use shm_proto::request::Kind;
use std::borrow::Cow;

/// Bytes that are kept of the encoded names, each a length of two bytes and a text, or of the code.
const KEPT: usize = 86;

/// The names of one request, perhaps cut short.
#[derive(Clone, Copy)]
pub struct Label {
    kind: Kind,
    len: u8,
    bytes: [u8; KEPT],
}

impl Default for Label {
    fn default() -> Label {
        Label { kind: Kind::Call, len: 0, bytes: [0; KEPT] }
    }
}

impl Label {
    /// The label of a request with this key (`term::Encoded::key`).
    #[inline]
    pub fn new(kind: Kind, key: &[u8]) -> Label {
        let len = key.len().min(KEPT);
        let mut bytes = [0; KEPT];
        bytes[..len].copy_from_slice(&key[..len]);
        Label { kind, len: len as u8, bytes }
    }

    /// What runs.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Call | Kind::Stream => "call",
            Kind::Method => "method",
            Kind::Eval | Kind::StreamEval => "eval",
            Kind::Exec => "exec",
            _ => "other",
        }
    }

    /// `module.function`, a method's name, or code, in UTF-8.
    pub fn text(&self) -> String {
        let mut rest = &self.bytes[..usize::from(self.len)];
        if matches!(self.kind, Kind::Eval | Kind::StreamEval | Kind::Exec) {
            // A text, with a length of four bytes.
            return whole(rest.get(4..).unwrap_or_default()).into_owned();
        }
        let mut names = Vec::new();
        while let Some((head, tail)) = rest.split_first_chunk::<2>() {
            let (name, after) = tail.split_at(tail.len().min(usize::from(u16::from_le_bytes(*head))));
            names.push(whole(name));
            rest = after;
        }
        names.join(".")
    }
}

/// Text without a last character that was cut.
fn whole(text: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(text) {
        Err(cut) if cut.error_len().is_none() => String::from_utf8_lossy(&text[..cut.valid_up_to()]),
        _ => String::from_utf8_lossy(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(names: &[&str]) -> Vec<u8> {
        names.iter().flat_map(|name| [&(name.len() as u16).to_le_bytes()[..], name.as_bytes()].concat()).collect()
    }

    #[test]
    fn names_what_runs() {
        assert_eq!(Label::new(Kind::Call, &key(&["os.path", "join"])).text(), "os.path.join");
        assert_eq!(Label::new(Kind::Method, &key(&["close"])).text(), "close");
        assert_eq!(Label::new(Kind::Eval, b"\x05\0\0\0x + 1").text(), "x + 1");
        assert_eq!(Label::default().text(), "");
        assert_eq!(Label::new(Kind::Exec, b"\x05").text(), "");
        assert_eq!(Label::new(Kind::Exec, b"").kind(), "exec");
    }

    #[test]
    fn cuts_between_characters_whatever_the_length() {
        for len in 0..200 {
            let name = format!("{}{}", "a".repeat(len), "\u{fc}".repeat(40));
            let text = Label::new(Kind::Call, &key(&["m", &name])).text();
            assert!(format!("m.{name}").starts_with(&text), "{text}");
            assert!(text.len() >= KEPT - 5, "{}", text.len());
        }
    }
}
