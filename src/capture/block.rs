//! Bytes of a file that may be kept beyond the next read: who does needs no copy.

use std::sync::Arc;

/// A read buffer. While somebody holds it, what follows in the file is read into another one.
#[derive(Debug, Clone)]
pub struct Block(pub(super) Arc<Vec<u8>>);

impl Block {
    pub(super) fn new(len: usize) -> Self {
        Self(Arc::new(vec![0; len]))
    }

    /// A block that holds these bytes.
    #[cfg(test)]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Arc::new(bytes.to_vec()))
    }

    /// Where `part` begins, when it lies in here.
    #[inline]
    pub fn place_of(&self, part: &[u8]) -> Option<usize> {
        let start = part.as_ptr().addr().checked_sub(self.0.as_ptr().addr())?;
        let is_inside = start.checked_add(part.len()).is_some_and(|end| end <= self.0.len());
        is_inside.then_some(start)
    }

    /// The bytes from `start` on.
    #[inline]
    pub fn part(&self, start: usize, len: usize) -> &[u8] {
        self.0.get(start..).and_then(|rest| rest.get(..len)).unwrap_or_default()
    }

    /// True when both are the same buffer.
    #[inline]
    pub fn is(&self, other: &Block) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_where_they_lie() {
        let (block, other) = (Block::of(b"0123456789"), vec![b'0'; 10]);
        let part = &block.0[3..7];
        assert_eq!(block.place_of(part), Some(3));
        assert_eq!(block.part(3, 4), b"3456");
        assert_eq!(block.place_of(&block.0), Some(0));
        assert_eq!(block.place_of(&block.0[10..]), Some(10));
        assert_eq!(block.place_of(&other), None);
        assert_eq!(block.part(8, 4), b"");
        assert!(block.is(&block.clone()) && !block.is(&Block::of(b"0123456789")));
    }
}
