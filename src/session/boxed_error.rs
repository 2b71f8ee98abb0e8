//! What a handler may fail with: any error, in a box.

use std::error::Error;

use sockjs_core::{CloseFrame, close::INTERNAL_ERROR};
use tower::BoxError;

use super::{
    handler_error::{HandlerError, sources},
    json_error::JsonError,
};
/// The frame is that of the first [`CloseFrame`] or [`JsonError::Parse`] in the box or among
/// the sources; 1011 "Internal error" without one.
impl HandlerError for BoxError {
    fn close_frame(&self) -> CloseFrame {
        sources(&**self).find_map(answer_to_client).unwrap_or(INTERNAL_ERROR)
    }
}

/// The close frame of an error that has one: a frame itself, or JSON of the client's that is none.
fn answer_to_client(error: &(dyn Error + 'static)) -> Option<CloseFrame> {
    let of_json = || match error.downcast_ref()? {
        error @ JsonError::Parse { .. } => Some(error.close_frame()),
        _ => None,
    };
    error.downcast_ref().cloned().or_else(of_json)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::session::{handler_error::tests::Outer, send_error::SendError};

    #[test]
    fn a_box_has_the_frame_that_it_holds() {
        let frame = CloseFrame::new(4001, "log in again");
        let boxed: BoxError = frame.clone().into();
        assert_eq!(boxed.close_frame(), frame);
        assert_eq!(frame.close_frame(), frame);
        let wrapped: BoxError = Outer(Outer(boxed).into()).into();
        assert_eq!(wrapped.close_frame(), frame);
        let error = serde_json::from_str::<u8>("x").unwrap_err();
        let json: BoxError = JsonError::Parse { message: "x".into(), error }.into();
        assert_eq!(json.close_frame().code(), 1007);
        let sending: BoxError = JsonError::Send(SendError::Full("x".into())).into();
        assert_eq!(sending.close_frame(), INTERNAL_ERROR, "it may come from another session");
        for other in ["text".into(), io::Error::other("io").into(), BoxError::from(Outer("text".into()))] {
            assert_eq!(other.close_frame(), INTERNAL_ERROR, "{other}");
        }
        assert_eq!(Outer(frame.into()).close_frame(), INTERNAL_ERROR, "the default asks no source");
    }

    #[test]
    fn a_fault_is_told_by_its_code() {
        for (code, is_fault) in [(1000, false), (1007, false), (1011, true), (1013, true), (4003, false)] {
            let boxed: BoxError = CloseFrame::new(code, "").into();
            assert_eq!(
                (boxed.is_fault(), CloseFrame::new(code, "").is_fault()),
                (is_fault, is_fault),
                "{code}"
            );
        }
        assert!(BoxError::from("text").is_fault() && "text".is_fault());
        assert!(!SendError::Full("x".into()).is_fault() && !SendError::Closed("x".into()).is_fault());
    }
}
