//! Floor 5: byte streams become HTTP events; every version of HTTP hands on the same ones.

pub mod conversation;
pub mod detect;
pub mod event;
pub mod grpc;
pub mod h1;
pub mod h2;
mod held;
mod inflate;
pub mod sse;
pub mod websocket;

pub use conversation::{Conversation, HttpOptions, Protocol};
pub use event::{
    Abort, Headers, HttpEvent, HttpEventKind, PushPromise, RequestHead, ResponseHead, StreamId, StreamPriority,
    Upgrade, Version,
};
