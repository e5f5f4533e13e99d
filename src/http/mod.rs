//! Floor 5: byte streams become HTTP events; every version of HTTP hands on the same ones.

pub mod event;

pub use event::{
    Abort, Headers, HttpEvent, HttpEventKind, PushPromise, RequestHead, ResponseHead, StreamId, StreamPriority,
    Upgrade, Version,
};
