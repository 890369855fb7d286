//! Arbitrary bytes as a certificate and as names.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wsscan::tls::Certificate;

fuzz_target!(|data: &[u8]| {
    if let Some(certificate) = Certificate::parse(data) {
        let _ = certificate.covers(&certificate.subject);
        for name in &certificate.names {
            let _ = certificate.covers(&name.to_string());
        }
    }
});
