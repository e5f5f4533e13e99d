//! One account for all buffered bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The account. Clones share it; counting is by allocated bytes, so that tiny slices that pin large buffers are seen.
#[derive(Debug, Clone)]
pub struct Budget {
    used: Arc<AtomicUsize>,
    cap: usize,
}

impl Budget {
    /// An empty account of `cap` bytes.
    pub fn new(cap: usize) -> Self {
        Self { used: Arc::default(), cap }
    }

    /// A lease of nothing, to grow later.
    pub fn lease(&self) -> Lease {
        Lease { used: self.used.clone(), bytes: 0 }
    }

    /// Bytes leased now.
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// The largest sum of leases that is fine.
    pub fn cap(&self) -> usize {
        self.cap
    }

    /// True when more than half is leased: what can wait elsewhere should.
    pub fn is_tight(&self) -> bool {
        self.used() > self.cap / 2
    }

    /// True when more is leased than the account holds: somebody must be evicted.
    pub fn is_overdrawn(&self) -> bool {
        self.used() > self.cap
    }
}

/// What one buffer holds of the budget; given back on drop.
#[derive(Debug)]
pub struct Lease {
    used: Arc<AtomicUsize>,
    bytes: usize,
}

impl Lease {
    /// States that the buffer now allocates `bytes`.
    pub fn set(&mut self, bytes: usize) {
        if bytes > self.bytes {
            self.used.fetch_add(bytes - self.bytes, Relaxed);
        } else if bytes < self.bytes {
            self.used.fetch_sub(self.bytes - bytes, Relaxed);
        }
        self.bytes = bytes;
    }

    /// An empty lease of the same account.
    pub fn another(&self) -> Lease {
        Lease { used: self.used.clone(), bytes: 0 }
    }

    /// Bytes held by this lease.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_return_what_they_hold() {
        let budget = Budget::new(100);
        let mut first = budget.lease();
        let mut second = budget.clone().lease();
        first.set(80);
        second.set(30);
        assert!(budget.is_overdrawn());
        first.set(10);
        assert_eq!(budget.used(), 40);
        drop(second);
        assert_eq!(budget.used(), 10);
        assert_eq!(first.bytes(), 10);
    }
}
