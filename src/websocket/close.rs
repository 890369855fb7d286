//! The body of a Close frame (RFC 6455 §5.5.1 and §7.4).

use super::violation::ViolationKind;

/// Whether a status code may be on the wire: 1000 to 1003, 1007 to 1014, 3000 to 4999.
///
/// RFC 6455 §7.4.1 forbids 1005, 1006 and 1015 in a frame and reserves 1004; §7.4.2 says that 0 to 999 are not used and
/// that 1000 to 2999 belong to the protocol, of which the IANA registry has given out those up to 1014.
#[must_use]
const fn close_code_is_legal(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// A parsed Close body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CloseBody<'a> {
    pub code: Option<u16>,
    pub reason: &'a [u8],
    /// The violation in it, if any, and its detail.
    pub fault: Option<(ViolationKind, u64)>,
}

/// Parses a whole body of at most 125 bytes.
pub(super) fn parse(body: &[u8]) -> CloseBody<'_> {
    match body {
        [] => CloseBody { code: None, reason: &[], fault: None },
        // §5.5.1: if there is a body, its first two bytes must be a status code.
        [_] => CloseBody { code: None, reason: &[], fault: Some((ViolationKind::CloseBodyOneByte, 1)) },
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            let fault = if !close_code_is_legal(code) {
                Some((ViolationKind::CloseCodeIllegal, u64::from(code)))
            } else {
                // §5.5.1: the reason must be UTF-8.
                std::str::from_utf8(reason)
                    .err()
                    .map(|error| (ViolationKind::CloseReasonInvalidUtf8, error.valid_up_to() as u64))
            };
            CloseBody { code: Some(code), reason, fault }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_codes_are_exactly_those_of_the_registry_and_the_private_ranges() {
        let legal: Vec<u16> = (0..=u16::MAX).filter(|&code| close_code_is_legal(code)).collect();
        let mut expected: Vec<u16> = vec![1000, 1001, 1002, 1003];
        expected.extend(1007..=1014);
        expected.extend(3000..=4999);
        assert_eq!(legal, expected);
    }

    #[test]
    fn bodies() {
        assert_eq!(parse(b""), CloseBody { code: None, reason: b"", fault: None });
        assert_eq!(parse(b"\x03").fault, Some((ViolationKind::CloseBodyOneByte, 1)));
        assert_eq!(parse(b"\x03\xe8bye"), CloseBody { code: Some(1000), reason: b"bye", fault: None });
        assert_eq!(parse(b"\x03\xee").fault, Some((ViolationKind::CloseCodeIllegal, 1006)));
        assert_eq!(parse(b"\x03\xe8ok\xff").fault, Some((ViolationKind::CloseReasonInvalidUtf8, 2)));
    }
}
