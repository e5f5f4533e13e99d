//! The connection ids that one side issued: what its peer puts first into packets to it.

use super::header::ConnectionId;

/// Ids of one side that are followed. Peers let each other have 2 to 8 at a time; retired ones still come for a while.
const IDS_KEPT: usize = 32;

/// Stateless reset token ([RFC 9000 §10.3](https://www.rfc-editor.org/rfc/rfc9000#section-10.3)).
pub type ResetToken = [u8; 16];

/// Connection ids of one side, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Ids {
    known: Vec<(ConnectionId, Option<ResetToken>)>,
}

impl Ids {
    /// Adds an id; false when it was known. Gives up the oldest one when there are too many: it comes back as the second value.
    pub fn add(&mut self, id: ConnectionId, token: Option<ResetToken>) -> (bool, Option<ConnectionId>) {
        if let Some(known) = self.known.iter_mut().find(|known| known.0 == id) {
            known.1 = token.or(known.1);
            return (false, None);
        }
        self.known.push((id, token));
        let oldest = (self.known.len() > IDS_KEPT).then(|| self.known.remove(0).0);
        (true, oldest)
    }

    /// Gives the newest id its token.
    pub fn set_token(&mut self, token: ResetToken) {
        if let Some(last) = self.known.last_mut() {
            last.1 = Some(token);
        }
    }

    /// True when the id is one of them.
    pub fn contains(&self, id: &ConnectionId) -> bool {
        self.known.iter().any(|known| known.0 == *id)
    }

    /// The longest id that `bytes`, what follows the first byte of a short header, begin with.
    pub fn matching(&self, bytes: &[u8]) -> Option<ConnectionId> {
        let fits = self.known.iter().rev().filter(|known| bytes.starts_with(known.0.bytes()));
        fits.max_by_key(|known| known.0.len()).map(|known| known.0)
    }

    /// True when a datagram ends with the token of one of them.
    pub fn is_reset(&self, datagram: &[u8]) -> bool {
        let Some(token) = datagram.last_chunk::<16>() else { return false };
        self.known.iter().any(|known| known.1.as_ref() == Some(token))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &ConnectionId> {
        self.known.iter().map(|known| &known.0)
    }

    /// Allocated bytes.
    pub fn allocated(&self) -> usize {
        self.known.capacity() * size_of::<(ConnectionId, Option<ResetToken>)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_id_wins_and_the_oldest_goes() {
        let mut ids = Ids::default();
        let id = |bytes: &[u8]| ConnectionId::new(bytes).unwrap();
        assert_eq!(ids.add(id(b""), None), (true, None));
        assert_eq!(ids.add(id(b"ab"), None), (true, None));
        assert_eq!(ids.add(id(b"abcd"), Some([7; 16])), (true, None));
        assert_eq!(ids.add(id(b"ab"), None), (false, None));
        assert_eq!(ids.matching(b"abcdef"), Some(id(b"abcd")));
        assert_eq!(ids.matching(b"abc"), Some(id(b"ab")));
        assert_eq!(ids.matching(b"x"), Some(id(b"")));
        assert!(ids.is_reset(&[[1; 16], [7; 16]].concat()) && !ids.is_reset(&[7; 15]));
        for n in 0..40u8 {
            ids.add(id(&[n]), None);
        }
        assert_eq!(ids.iter().count(), IDS_KEPT);
        assert!(!ids.contains(&id(b"ab")) && ids.contains(&id(&[39])));
    }
}
