//! One stream: the states of its two messages ([RFC 9113 §5.1](https://www.rfc-editor.org/rfc/rfc9113#section-5.1)).

use crate::http::{StreamId, Upgrade};

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Progress {
    /// Its (final) head has not come.
    #[default]
    Idle,
    /// Its head has come.
    Body,
    /// End or Abort was told.
    Done,
}

/// One message of a stream.
#[derive(Debug, Default)]
pub struct Message {
    /// How far it is.
    pub progress: Progress,
    /// Octets on the wire so far.
    pub wire_size: u64,
    /// Content octets so far, lost ones as well.
    pub content: u64,
    /// Content-Length, when the head has one.
    pub stated: Option<u64>,
    /// Frames may be missing since the last content.
    pub may_lack: bool,
    /// Frames were missing at some time: its end may be among them.
    pub is_torn: bool,
}

/// What a CONNECT request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wish {
    /// It is another request.
    #[default]
    None,
    /// CONNECT becomes this when it is answered with 2xx.
    Upgrade(Upgrade),
    /// HEAD: a Content-Length speaks of content that is not sent.
    Head,
}

/// A stream whose messages are not both over.
#[derive(Debug)]
pub struct Stream {
    /// How the exchange is called.
    pub id: StreamId,
    /// Request and response.
    pub messages: [Message; 2],
    /// What the request asked for.
    pub wish: Wish,
}

impl Stream {
    /// A stream with nothing on it.
    pub fn new(id: StreamId) -> Self {
        Self { id, messages: Default::default(), wish: Wish::None }
    }

    /// True when both messages are over.
    pub fn is_done(&self) -> bool {
        self.messages.iter().all(|message| message.progress == Progress::Done)
    }
}
