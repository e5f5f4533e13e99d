//! Messages inside bodies: WebSocket, server-sent events, gRPC.

use super::model::StreamMessage;
use crate::base::{Anomalies, Budget, Limits, Span};
use crate::http::{RequestHead, ResponseHead};
use crate::tcp::Side;

/// Reads the messages of one exchange.
pub(super) enum Interpreter {
    None,
}

impl Interpreter {
    pub(super) fn for_request(_head: &RequestHead, _limits: &Limits, _budget: &Budget) -> Self {
        Self::None
    }
    pub(super) fn for_websocket(_head: &ResponseHead, _limits: &Limits, _budget: &Budget) -> Self {
        Self::None
    }
    pub(super) fn answered(
        &mut self,
        _request: &RequestHead,
        _response: &ResponseHead,
        _limits: &Limits,
        _budget: &Budget,
    ) {
    }
    pub(super) fn push(&mut self, _side: Side, _bytes: &[u8], _span: Span) {}
    pub(super) fn lose(&mut self, _side: Side, _len: u64) {}
    pub(super) fn allocated(&self) -> usize {
        0
    }
    pub(super) fn finish(self) -> (Vec<StreamMessage>, Anomalies) {
        (Vec::new(), Anomalies::default())
    }
}
