//! Floor 5: byte streams become HTTP events; every version of HTTP hands on the same ones.

pub mod conversation;
pub mod detect;
pub mod event;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod grpc;
pub mod h1;
pub mod h2;
pub mod h3;
mod held;
pub mod huffman;
mod inflate;
pub mod plausible;
pub mod prefix;
mod resync;
pub mod section;
pub mod sse;
pub mod stream;
pub mod table;
pub mod websocket;

pub use conversation::{Conversation, HttpOptions, Protocol};
pub use event::{
    Abort, Completeness, Headers, HttpEvent, HttpEventKind, PushPromise, RequestHead, ResponseHead, StreamId,
    StreamPriority, Upgrade, Version,
};
