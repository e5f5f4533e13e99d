//! What is held back while secrets may still come.

use std::collections::VecDeque;

use crate::base::{Budget, Lease, Span, Stamp, Timestamp};
use crate::tcp::{Position, Side};

use super::record::Record;

/// One thing held back.
pub(crate) enum Held {
    Record { kind: u8, version: u16, body: Vec<u8>, span: Span, offset: u64, position: Position },
    Loss(Lost, Stamp),
    Fin(Stamp),
    Reset(Stamp),
}

/// What was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// One record in part.
    Record { body: usize },
    /// So many bytes; 0 when nobody knows.
    Bytes(u64),
}

impl Held {
    pub(crate) fn of(record: &Record<'_>) -> Self {
        let &Record { kind, version, span, offset, position, .. } = record;
        Held::Record { kind, version, body: record.body.to_vec(), span, offset, position }
    }

    fn allocated(&self) -> usize {
        let body = if let Held::Record { body, .. } = self { body.capacity() } else { 0 };
        body + size_of::<(Side, Held)>()
    }
}

/// Records and events of both sides in the order they came.
pub(crate) struct Queue {
    items: VecDeque<(Side, Held)>,
    bytes: usize,
    lease: Lease,
}

impl Queue {
    pub(crate) fn new(budget: &Budget) -> Self {
        Self { items: VecDeque::new(), bytes: 0, lease: budget.lease() }
    }

    pub(crate) fn push(&mut self, side: Side, held: Held) {
        self.bytes += held.allocated();
        self.items.push_back((side, held));
        self.lease.set(self.bytes);
    }

    pub(crate) fn pop(&mut self) -> Option<(Side, Held)> {
        let (side, held) = self.items.pop_front()?;
        self.bytes -= held.allocated();
        self.lease.set(self.bytes);
        if self.items.is_empty() {
            self.items = VecDeque::new();
        }
        Some((side, held))
    }

    /// The records of one side, in their order: kind, version and body.
    pub(crate) fn records(&self, of: Side) -> impl Iterator<Item = (u8, u16, &[u8])> {
        self.items.iter().filter_map(move |(side, held)| match held {
            Held::Record { kind, version, body, .. } if *side == of => Some((*kind, *version, body.as_slice())),
            _ => None,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// When the oldest of it came.
    pub(crate) fn since(&self) -> Option<Timestamp> {
        self.items.front().map(|(_, held)| match held {
            Held::Record { span, .. } => span.first.time,
            Held::Loss(_, stamp) | Held::Fin(stamp) | Held::Reset(stamp) => stamp.time,
        })
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}
