//! Forward proxies: a CONNECT that did not lead through.

use super::case::Case;
use super::catalogue::wsp::{PROXY_AUTH_REQUIRED, PROXY_REFUSED_CONNECT};
use super::finding::{Confidence, Finding};
use super::judged::{Explains, Judged};
use crate::http::Exchange;
use crate::stream::Side;

/// The CONNECT that the proxy answered with a refusal, if that is all there was.
pub(super) fn refused<'a>(case: &Case<'a>) -> Option<&'a Exchange> {
    let connect = case.record.connect.as_deref().filter(|_| case.entry.is_none())?;
    connect.status().is_some_and(|status| !(200..300).contains(&status)).then_some(connect)
}

/// Where the client wanted to go, without the port, in lower case.
pub(super) fn destination(connect: &Exchange) -> Option<String> {
    let target = connect.request.as_ref()?.target();
    Some(target.rsplit_once(':').map_or(target, |(name, _)| name).to_ascii_lowercase())
}

pub(super) fn judge(case: &Case<'_>, judged: &mut Judged) {
    let Some(connect) = refused(case) else { return };
    let (Some(response), Some(request)) = (connect.response(), &connect.request) else { return };
    let (rule, summary) = match response.status {
        407 => (&PROXY_AUTH_REQUIRED, "The forward proxy wants a user name and password (407).".to_owned()),
        status => (&PROXY_REFUSED_CONNECT, format!("The forward proxy refused to open a tunnel ({status}).")),
    };
    let finding = Finding::new(rule, Confidence::Proven, summary)
        .evidence(request.head.last, Some(Side::Client), "CONNECT")
        .evidence(response.head.last, Some(Side::Server), format!("answered with {}", response.status));
    judged.cause(Explains::Deed, finding);
}
