//! UTF-8 that comes in pieces. Pure.

/// Decodes as a browser does: what is invalid becomes U+FFFD, what is incomplete waits for its rest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Utf8 {
    /// The beginning of a character, at most three bytes.
    split: Vec<u8>,
}

impl Utf8 {
    #[cfg(test)]
    /// Goes on behind the beginning of a character.
    pub(super) fn with_split(split: Vec<u8>) -> Self {
        Self { split }
    }

    /// The beginning of a character whose rest is still to come.
    pub(super) fn split(&self) -> &[u8] {
        &self.split
    }

    /// The text that `bytes` add.
    pub(super) fn decode(&mut self, bytes: &[u8]) -> String {
        let mut all = std::mem::take(&mut self.split);
        all.extend_from_slice(bytes);
        let mut text = String::with_capacity(all.len());
        for chunk in all.utf8_chunks() {
            text.push_str(chunk.valid());
            let invalid = chunk.invalid();
            if is_beginning(invalid) && std::ptr::eq(invalid.as_ptr_range().end, all.as_ptr_range().end) {
                self.split = invalid.to_vec();
            } else if !invalid.is_empty() {
                text.push(char::REPLACEMENT_CHARACTER);
            }
        }
        text
    }

    #[cfg(test)]
    /// The text that is left when nothing more comes.
    pub(super) fn finish(&mut self) -> &'static str {
        if std::mem::take(&mut self.split).is_empty() { "" } else { "\u{fffd}" }
    }
}

/// Whether more bytes could make it a character.
fn is_beginning(bytes: &[u8]) -> bool {
    !bytes.is_empty() && std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_character_arrives_whole_and_a_lone_beginning_is_told_at_the_end() {
        let mut utf8 = Utf8::default();
        assert_eq!(utf8.decode(b"a\xe2\x82"), "a");
        assert_eq!(Utf8::with_split(utf8.split().to_vec()).decode(b"\xac!"), "\u{20ac}!");
        assert_eq!(utf8.finish(), "\u{fffd}");
        assert_eq!(utf8.finish(), "");
    }

    proptest! {
        #[test]
        fn pieces_decode_like_the_whole(bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(0xe2), Just(0x82), Just(0xac), Just(0xf0), Just(0x9f)], 0..64
        ), cuts in proptest::collection::vec(0_usize..64, 0..8)) {
            let mut utf8 = Utf8::default();
            let mut text = String::new();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut at = 0;
            for cut in cuts.into_iter().chain([bytes.len()]) {
                text.push_str(&utf8.decode(&bytes[at..cut]));
                prop_assert!(utf8.split().len() <= 3);
                at = cut;
            }
            text.push_str(utf8.finish());
            prop_assert_eq!(text, String::from_utf8_lossy(&bytes));
        }
    }
}
