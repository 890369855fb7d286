//! Alert levels and descriptions (RFC 8446 §6, RFC 5246 §7.2, IANA "TLS Alerts").

/// close_notify: its sender will send nothing more.
pub const CLOSE_NOTIFY: u8 = 0;
/// user_canceled: precedes a close_notify that is no error.
pub const USER_CANCELED: u8 = 90;
/// handshake_failure: no common parameters, or a client without a certificate.
pub const HANDSHAKE_FAILURE: u8 = 40;
/// certificate_required: the client has presented none.
pub const CERTIFICATE_REQUIRED: u8 = 116;

/// `warning` or `fatal`.
#[must_use]
pub(crate) const fn level(level: u8) -> Option<&'static str> {
    match level {
        1 => Some("warning"),
        2 => Some("fatal"),
        _ => None,
    }
}

/// The registered name of an AlertDescription.
#[must_use]
pub(crate) const fn description(code: u8) -> Option<&'static str> {
    Some(match code {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        21 => "decryption_failed",
        22 => "record_overflow",
        30 => "decompression_failure",
        40 => "handshake_failure",
        41 => "no_certificate",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        52 => "too_many_cids_requested",
        60 => "export_restriction",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        111 => "certificate_unobtainable",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        114 => "bad_certificate_hash_value",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        117 => "general_error",
        120 => "no_application_protocol",
        121 => "ech_required",
        _ => return None,
    })
}

/// Whether the alert is about the peer's certificate.
#[must_use]
pub(crate) const fn is_about_certificate(code: u8) -> bool {
    matches!(code, 41..=46 | 48 | 111 | 113 | 114 | 116)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_registry() {
        assert_eq!(description(45), Some("certificate_expired"));
        assert_eq!(description(48), Some("unknown_ca"));
        assert_eq!(description(120), Some("no_application_protocol"));
        assert_eq!(description(1), None);
        assert_eq!((level(1), level(2), level(3)), (Some("warning"), Some("fatal"), None));
        assert!(is_about_certificate(116) && !is_about_certificate(40));
    }
}
