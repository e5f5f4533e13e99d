//! HTTP/3 ([RFC 9114](https://www.rfc-editor.org/rfc/rfc9114)).

pub mod qpack;
mod static_table;
