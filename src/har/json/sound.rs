//! Whether text is JSON, before it becomes part of a file.

use super::escape::{first_special, is_special};

/// Arrays and objects inside one another.
const DEEPEST: usize = 128;

/// True when `text` is a run of members of an object (RFC 8259 §4). `insides` are ranges between the quotes of strings that are
/// known to be good, in order; they are passed over.
pub fn is_members(text: &[u8], insides: &[(usize, usize)]) -> bool {
    let mut check = Check { text, at: 0, insides };
    check.blank();
    (check.at == text.len() || check.members(DEEPEST).is_some()) && check.at == text.len()
}

struct Check<'t> {
    text: &'t [u8],
    at: usize,
    insides: &'t [(usize, usize)],
}

/// `None` when the text is no JSON.
type Good = Option<()>;

impl Check<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blank(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Passes over this byte, and over blanks on both sides of it; false when another one stands there.
    fn takes(&mut self, byte: u8) -> bool {
        self.blank();
        let is_there = self.peek() == Some(byte);
        if is_there {
            self.at += 1;
            self.blank();
        }
        is_there
    }

    fn members(&mut self, depth: usize) -> Good {
        loop {
            self.string()?;
            if !self.takes(b':') {
                return None;
            }
            self.value(depth)?;
            if !self.takes(b',') {
                return Some(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Good {
        match self.peek()? {
            b'"' => self.string(),
            b'{' => {
                self.at += 1;
                self.blank();
                if self.peek() != Some(b'}') {
                    self.members(depth.checked_sub(1)?)?;
                }
                self.takes(b'}').then_some(())
            }
            b'[' => {
                self.at += 1;
                self.blank();
                if self.peek() != Some(b']') {
                    self.elements(depth.checked_sub(1)?)?;
                }
                self.takes(b']').then_some(())
            }
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => self.number(),
        }
    }

    fn elements(&mut self, depth: usize) -> Good {
        loop {
            self.value(depth)?;
            if !self.takes(b',') {
                return Some(());
            }
        }
    }

    fn word(&mut self, word: &[u8]) -> Good {
        let is_there = self.text.get(self.at..)?.starts_with(word);
        self.at += word.len();
        is_there.then_some(())
    }

    fn string(&mut self) -> Good {
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        while let Some(&(start, end)) = self.insides.first()
            && start <= self.at
        {
            self.insides = self.insides.get(1..).unwrap_or_default();
            if start == self.at {
                self.at = end;
            }
        }
        loop {
            self.clean();
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.escape()?,
                _ => return None,
            }
        }
    }

    /// Passes over what needs no escape.
    fn clean(&mut self) {
        while let Some(word) = self.text.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
            match first_special(*word) {
                Some(at) => {
                    self.at += at;
                    return;
                }
                None => self.at += 8,
            }
        }
        while self.peek().is_some_and(|byte| !is_special(byte)) {
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Good {
        match self.text.get(self.at + 1)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => {
                let digits = self.text.get(self.at + 2..self.at + 6)?;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return None;
                }
                self.at += 6;
            }
            _ => return None,
        }
        Some(())
    }

    /// RFC 8259 §6.
    fn number(&mut self) -> Good {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Good {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What serde_json says.
    fn expected(text: &[u8]) -> bool {
        let whole = [b"{", text, b"}"].concat();
        serde_json::from_slice::<serde::de::IgnoredAny>(&whole).is_ok()
    }

    const GOOD: &str =
        r#""a":1,"b":[-0.5e+10,true,false,null,{},[],{"c":"\u00e9\"\\ é long enough for a word"}] , "d" : 0 "#;

    proptest! {
        #[test]
        fn damage_is_found_as_serde_json_finds_it(at in 0..GOOD.len(), with in 0usize..24, cut in 0usize..3) {
            let mut text = GOOD.as_bytes().to_vec();
            let with = b"\"\\{}[]:,0-1.eE+ tfn\n\x01u/a"[with];
            text.splice(at..(at + cut).min(text.len()), [with]);
            prop_assert_eq!(is_members(&text, &[]), expected(&text), "{}", String::from_utf8_lossy(&text));
            text.truncate(at);
            prop_assert_eq!(is_members(&text, &[]), expected(&text));
        }

        #[test]
        fn any_short_text(text in "[\"{}\\[\\]:,01e.a\\\\u -]{0,12}") {
            prop_assert_eq!(is_members(text.as_bytes(), &[]), expected(text.as_bytes()), "{}", text);
        }
    }

    #[test]
    fn insides_are_passed_over() {
        assert!(is_members(GOOD.as_bytes(), &[]) && is_members(b"", &[]));
        let text = b"\"a\":\"\x01\",\"b\":\"\x02\"";
        assert!(!is_members(text, &[]));
        assert!(is_members(text, &[(5, 6), (13, 14)]));
        assert!(!is_members(text, &[(5, 6)]));
        assert!(!is_members(text, &[(4, 6), (13, 14)]));
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| format!("\"a\":{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_members(nested(100).as_bytes(), &[]));
        assert!(!is_members(nested(100_000).as_bytes(), &[]));
    }
}
