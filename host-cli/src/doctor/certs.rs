//! The certificate authority for TLS inspection: whether it can be used, for how long, and where trust in it can't be
//! brought.

use time::{Duration, OffsetDateTime};

use super::Check;
use crate::certs::{self, CertsError};
use crate::paths::Paths;

/// With less left than this, a leaf can't last as long as it should.
const SOON: Duration = Duration::days(395);
const MEND: &str = "clawker firewall rotate-ca";
/// Who never asks the bundle. Said where all is well, since no command mends it.
const CANT: &str =
    "programs that pin certificates or keep their own roots (Firefox, Chromium) can't be inspected";

/// The authority.
pub fn authority(paths: &Paths, now: OffsetDateTime) -> Check {
    const NAME: &str = "certificates";
    let found = match certs::look(paths, now) {
        Ok(Some(found)) => found,
        Ok(None) => return Check::ok(NAME, "no authority yet; the first agent makes it"),
        Err(error @ CertsError::Broken(..)) => return Check::fail(NAME, error.to_string(), MEND),
        Err(error) => return Check::fail(NAME, crate::exit::chain(&error), MEND),
    };
    if found.key_mode & 0o077 != 0 {
        let key = found.key.display();
        return Check::fail(NAME, format!("{key} has mode {:o}", found.key_mode), format!("chmod 600 {key}"));
    }
    let days = (found.not_after - now).whole_days();
    if found.not_after - now < SOON {
        return Check::warn(NAME, format!("the authority ends in {days} days"), MEND);
    }
    Check::ok(NAME, format!("the authority is good for {days} days; {CANT}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::certs::Authority;
    use crate::doctor::Verdict;
    use crate::lock::StateLock;

    #[test]
    fn what_is_wrong_with_the_authority_is_found_and_mended_by_what_is_said() {
        let state = std::env::temp_dir().join(format!("clawker-doctor-certs-{}", std::process::id()));
        std::fs::create_dir_all(&state).unwrap();
        let paths =
            Paths { state: state.clone(), config: state.clone(), cache: state.clone(), instance: None };
        let now = OffsetDateTime::now_utc();
        assert_eq!(authority(&paths, now).verdict, Verdict::Ok);
        assert!(!paths.certs_dir().exists(), "looking makes nothing");

        let lock = StateLock::acquire(&paths).unwrap();
        Authority::load_or_make(&paths, &lock).unwrap();
        assert_eq!(authority(&paths, now).verdict, Verdict::Ok);
        assert_eq!(authority(&paths, now + Duration::days(3300)).verdict, Verdict::Warn);
        assert_eq!(authority(&paths, now + Duration::days(3700)).verdict, Verdict::Fail);

        let key = paths.certs_dir().join("ca.key");
        std::fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
        let open = authority(&paths, now);
        assert_eq!(open.verdict, Verdict::Fail);
        assert_eq!(open.mend, Some(format!("chmod 600 {}", key.display())));

        std::fs::write(&key, "damaged").unwrap();
        assert_eq!(authority(&paths, now).mend.as_deref(), Some(MEND));
        Authority::rotate(&paths, &lock).unwrap();
        assert_eq!(authority(&paths, now).verdict, Verdict::Ok);
        std::fs::remove_dir_all(&state).unwrap();
    }
}
