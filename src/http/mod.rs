//! Floor 5: byte streams become HTTP events; every version of HTTP hands on the same ones.

pub mod conversation;
pub mod detect;
pub mod event;
pub mod h1;
mod held;

pub use conversation::{Conversation, HttpOptions, Protocol};
pub use event::{
    Abort, Headers, HttpEvent, HttpEventKind, PushPromise, RequestHead, ResponseHead, StreamId, StreamPriority,
    Upgrade, Version,
};
