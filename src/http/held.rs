//! Stream events kept until it is known what they are.

use crate::base::{Budget, Lease, Span, Stamp, Timestamp};
use crate::tcp::{Chunk, Position, Side, StreamEvent};

/// Owned copies of stream events, in order of arrival.
#[derive(Debug)]
pub struct Held {
    bytes: Vec<u8>,
    events: Vec<(Side, HeldEvent)>,
    /// Bytes of each side.
    bytes_of: [usize; 2],
    lease: Lease,
    budget: Budget,
}

#[derive(Debug, Clone, Copy)]
enum HeldEvent {
    /// The bytes end at `end` in the common buffer.
    Data {
        end: usize,
        span: Span,
        offset: u64,
        position: Position,
    },
    Gap {
        len: u64,
        stamp: Stamp,
    },
    Fin(Stamp),
    Reset(Stamp),
}

impl HeldEvent {
    fn stamp(&self) -> Stamp {
        match self {
            HeldEvent::Data { span, .. } => span.first,
            HeldEvent::Gap { stamp, .. } | HeldEvent::Fin(stamp) | HeldEvent::Reset(stamp) => *stamp,
        }
    }
}

impl Held {
    /// Nothing held.
    pub fn new(budget: &Budget) -> Self {
        Self { bytes: Vec::new(), events: Vec::new(), bytes_of: [0; 2], lease: budget.lease(), budget: budget.clone() }
    }

    /// Keeps a copy.
    pub fn push(&mut self, side: Side, event: StreamEvent<'_>) {
        let event = match event {
            StreamEvent::Data(chunk) => {
                self.bytes.extend_from_slice(chunk.data);
                if let Some(bytes) = self.bytes_of.get_mut(side.index()) {
                    *bytes += chunk.data.len();
                }
                HeldEvent::Data {
                    end: self.bytes.len(),
                    span: chunk.span,
                    offset: chunk.offset,
                    position: chunk.position,
                }
            }
            StreamEvent::Gap { len, stamp } => HeldEvent::Gap { len, stamp },
            StreamEvent::Fin(stamp) => HeldEvent::Fin(stamp),
            StreamEvent::Reset(stamp) => HeldEvent::Reset(stamp),
        };
        self.events.push((side, event));
        self.lease.set(self.bytes.capacity() + self.events.capacity() * size_of::<(Side, HeldEvent)>());
    }

    /// When the oldest of it came.
    pub fn since(&self) -> Option<Timestamp> {
        self.first_stamp().map(|stamp| stamp.time)
    }

    /// Position of the first byte held.
    pub fn position(&self) -> Option<Position> {
        self.events.iter().find_map(|(_, event)| match event {
            HeldEvent::Data { position, .. } => Some(*position),
            _ => None,
        })
    }

    /// Where the oldest of it was seen.
    pub fn first_stamp(&self) -> Option<Stamp> {
        self.events.first().map(|(_, event)| event.stamp())
    }

    /// Bytes and events held, as a measure against a limit.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.events.len() * size_of::<(Side, HeldEvent)>()
    }

    /// A copy of the bytes held of one side.
    pub fn bytes_of(&self, side: Side) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.each(|of, event| {
            if let StreamEvent::Data(chunk) = event
                && of == side
            {
                bytes.extend_from_slice(chunk.data);
            }
        });
        bytes
    }

    /// Where the first bytes held of that side were.
    pub fn stamp_of(&self, side: Side) -> Option<Stamp> {
        self.events.iter().find_map(|&(of, event)| match event {
            HeldEvent::Data { span, .. } if of == side => Some(span.first),
            _ => None,
        })
    }

    /// True when no bytes of that side are held.
    pub fn is_without(&self, side: Side) -> bool {
        self.bytes_of.get(side.index()) == Some(&0)
    }

    /// Drops the bytes of one side.
    pub fn forget(&mut self, side: Side) {
        if self.is_without(side) {
            return;
        }
        let mut kept = Self::new(&self.budget);
        self.each(|of, event| {
            if of != side || !matches!(event, StreamEvent::Data(_)) {
                kept.push(of, event);
            }
        });
        *self = kept;
    }

    /// Gives everything back, in order.
    pub fn replay(self, each: impl FnMut(Side, StreamEvent<'_>)) {
        self.each(each);
    }

    /// Shows everything, in order.
    pub fn each(&self, mut each: impl FnMut(Side, StreamEvent<'_>)) {
        let mut start = 0;
        for &(side, event) in &self.events {
            let event = match event {
                HeldEvent::Data { end, span, offset, position } => {
                    let data = self.bytes.get(start..end).unwrap_or_default();
                    start = end;
                    StreamEvent::Data(Chunk { data, span, offset, position })
                }
                HeldEvent::Gap { len, stamp } => StreamEvent::Gap { len, stamp },
                HeldEvent::Fin(stamp) => StreamEvent::Fin(stamp),
                HeldEvent::Reset(stamp) => StreamEvent::Reset(stamp),
            };
            each(side, event);
        }
    }
}
