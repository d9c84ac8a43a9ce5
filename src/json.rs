//! Reads the plainest of JSON without copying, for the messages that come fifty times a second.
//!
//! Twilio's frames and the model's audio are objects without white space, of strings without escapes
//! and of whole numbers. That much is read here, and nothing else: whatever is unusual in the least is
//! `None`, and the caller has `serde_json` read the message from its beginning. So this module never
//! decides that a message is wrong, and what it does accept is exactly what `serde_json` would.

use memchr::memchr;

/// A number of more digits than this is unusual. Any of fewer fits into a `u64`.
const DIGITS: usize = 15;

/// A position in a message.
pub(crate) struct Plain<'a> {
    rest: &'a [u8],
}

impl<'a> Plain<'a> {
    /// At the beginning of `message`.
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// Reads an object. `member` is called with each name, and has to read the value that belongs to
    /// it. Whether a name comes twice is its business, too.
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &'a [u8]) -> Option<()>,
    ) -> Option<()> {
        self.byte(b'{')?;
        loop {
            let name = self.text()?;
            self.byte(b':')?;
            member(self, name)?;
            let (next, rest) = self.rest.split_first()?;
            self.rest = rest;
            match next {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Reads a string of ASCII without escapes.
    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        self.byte(b'"')?;
        let (text, rest) = self.rest.split_at_checked(plain_length(self.rest))?;
        self.rest = rest;
        self.byte(b'"')?;
        Some(text)
    }

    /// Reads a string, whatever is in it, up to the first quotation mark: for what is judged by other
    /// means that suffer neither an escape nor anything else that JSON does not allow in a string.
    pub(crate) fn unjudged(&mut self) -> Option<&'a [u8]> {
        self.byte(b'"')?;
        let (text, rest) = self.rest.split_at_checked(memchr(b'"', self.rest)?)?;
        self.rest = rest;
        self.byte(b'"')?;
        Some(text)
    }

    /// Reads a whole number.
    fn number(&mut self) -> Option<u64> {
        let digits = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        number(digits)
    }

    /// Reads a string or a whole number that nobody needs.
    pub(crate) fn skip(&mut self) -> Option<()> {
        match self.rest.first() {
            Some(b'"') => self.text().map(|_| ()),
            _ => self.number().map(|_| ()),
        }
    }

    /// Nothing follows.
    pub(crate) fn end(self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }

    fn byte(&mut self, expected: u8) -> Option<()> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        (*first == expected).then_some(())
    }
}

/// Reads the digits of a whole number as JSON writes it, without zeros before it.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    match digits {
        [] | [b'0', _, ..] => None,
        _ if digits.len() > DIGITS => None,
        _ => digits.iter().try_fold(0, |number, b| {
            let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
            Some(number * 10 + digit)
        }),
    }
}

/// Fills in what was named. A name that comes twice is unusual.
pub(crate) fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

/// The same byte eight times.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// How many bytes there are before the first one that cannot stand in a JSON string as it is, or that
/// is not ASCII.
pub(crate) fn plain_length(text: &[u8]) -> usize {
    let mut length = 0;
    while let Some(eight) = text[length..].first_chunk() {
        // The lowest byte is the first. Of each byte, the highest bit is set if it is no ASCII or if
        // something is taken from it that is more than it has: one from what is zero, for a quotation
        // mark, say. What is borrowed for that makes at most later ones look unusual, too.
        let eight = u64::from_le_bytes(*eight);
        let quote = (eight ^ each(b'"')).wrapping_sub(each(1));
        let backslash = (eight ^ each(b'\\')).wrapping_sub(each(1));
        let control = eight.wrapping_sub(each(b' '));
        let unusual = (quote | backslash | control | eight) & each(0x80);
        if unusual != 0 {
            return length + (unusual.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    let is_plain = |b: &&u8| matches!(b, b' '..=b'!' | b'#'..=b'[' | b']'..=0x7F);
    length + text[length..].iter().take_while(is_plain).count()
}

#[cfg(test)]
pub(crate) mod tests;
