//! What comes to a session: first the answers that open it, then its messages.

use std::collections::VecDeque;

use super::{
    messages::{Checker, shown},
    stomp,
};

/// What a session says to be open, and how the answer begins.
pub(crate) type Step = (String, &'static str);

/// Who looks at the messages.
#[derive(Debug)]
pub(crate) enum Check {
    Text(Checker),
    Stomp(stomp::Checker),
}

impl Check {
    fn message(&mut self, message: &[u8]) -> Result<(), String> {
        match self {
            Self::Text(checker) => checker.message(message),
            Self::Stomp(checker) => checker.message(message),
        }
    }

    fn array(&mut self, frame: &[u8]) -> Result<(), String> {
        match self {
            Self::Text(checker) => checker.array(frame).map(drop),
            Self::Stomp(checker) => checker.array(frame),
        }
    }

    pub(crate) fn received(&self) -> u64 {
        match self {
            Self::Text(checker) => checker.received(),
            Self::Stomp(checker) => checker.received(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) check: Check,
    /// What is still to be said and answered before the session is open.
    steps: VecDeque<Step>,
    /// Whether the transport is open.
    started: bool,
    pub(crate) opened: bool,
    pub(crate) heartbeats: u64,
    /// What is to be said next.
    pub(crate) to_say: Vec<String>,
}

impl Incoming {
    pub(crate) fn new(check: Check, steps: Vec<Step>) -> Self {
        Self { check, steps: steps.into(), started: false, opened: false, heartbeats: 0, to_say: Vec::new() }
    }

    /// The transport is open.
    pub(crate) fn start(&mut self) {
        self.started = true;
        self.say_next();
    }

    fn say_next(&mut self) {
        match self.steps.front() {
            Some((text, _)) => self.to_say.push(text.clone()),
            None => self.opened = true,
        }
    }

    /// Takes an answer, or the end of a line that is none.
    fn answer(&mut self, text: &[u8]) -> Result<(), String> {
        if text.iter().all(|byte| *byte == b'\n') {
            return Ok(());
        }
        match self.steps.pop_front() {
            Some((_, start)) if text.starts_with(start.as_bytes()) => self.say_next(),
            _ => return Err(format!("not the answer that opens a session: {}", shown(text))),
        }
        Ok(())
    }

    /// Takes a bare message.
    pub(crate) fn bare(&mut self, message: &[u8]) -> Result<(), String> {
        if self.opened { self.check.message(message) } else { self.answer(message) }
    }

    /// Takes a SockJS frame.
    pub(crate) fn frame(&mut self, frame: &[u8]) -> Result<(), String> {
        match frame {
            [b'a', ..] if self.opened => self.check.array(frame),
            [b'a', array @ ..] if self.started => {
                let texts: Vec<String> =
                    serde_json::from_slice(array).map_err(|error| format!("{error} in {}", shown(frame)))?;
                texts.iter().try_for_each(|text| self.answer(text.as_bytes()))
            }
            b"h" => {
                self.heartbeats += 1;
                Ok(())
            }
            b"o" if !self.started => {
                self.start();
                Ok(())
            }
            // The prelude of an XHR stream, and the one of an event stream.
            [b'h', ..] | [] => Ok(()),
            _ => Err(format!("unexpected: {}", shown(frame))),
        }
    }
}
