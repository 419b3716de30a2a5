use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

#[test]
fn docker_s_forms_are_read() {
    for (text, source, target, read_only) in [
        ("/data:/data", Source::Host("/data".into()), "/data", false),
        ("./data:/data/:ro", Source::Host("./data".into()), "/data", true),
        ("cache:/cache:rw,z", Source::Volume(Some("cache".into())), "/cache", false),
        ("/cache", Source::Volume(None), "/cache", false),
    ] {
        assert_eq!(parse(text), Ok(Volume { source, target: target.into(), read_only }), "{text}");
    }
    for text in ["", ":", ":/x", "/x:", "/x:y", "/x:/y:sw", "a/b:/x", "/a:/b:ro:x", "~/x:/x", "-x:/y"] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn init_s_and_the_kernel_s_places_are_never_covered() {
    for place in [
        "/",
        "//",
        "/run/clawker",
        "/run/clawker/host/x",
        "/run/clawker-pub/",
        "/usr/local/bin/clawker-init",
        "/proc/x",
        "/sys",
        "/dev/shm",
        "/etc/resolv.conf",
        "/srv/../proc",
        "/run//clawker/",
        "/etc/./hosts",
    ] {
        assert!(target(place).is_err(), "{place}");
    }
    for place in ["/run/clawker-notes", "/srv", "/usr/local/bin/tool", "/etc/app"] {
        assert_eq!(target(place).as_deref(), Ok(place));
    }
}

/// A home with clawker's folders, a project, and things to mount.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let home = std::env::temp_dir().join(format!("clawker-volume-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&home);
        for folder in ["state/agents", "config", "cache", "project/sub", "data/deep", "engine"] {
            fs::create_dir_all(home.join(folder)).unwrap();
        }
        Self(fs::canonicalize(home).unwrap())
    }

    fn kept(&self) -> Kept {
        let at = |name: &str| self.0.join(name);
        let paths = Paths { state: at("state"), config: at("config"), cache: at("cache"), instance: None };
        Kept::of(&paths, vec![at("docker.sock")], at("engine").to_str(), &at("project"))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn nothing_of_clawker_s_docker_s_or_the_kernel_s_is_mounted() {
    let home = Home::new("kept");
    let at = |name: &str| home.0.join(name);
    let _listener = UnixListener::bind(at("docker.sock")).unwrap();
    let _other = UnixListener::bind(at("data/other.sock")).unwrap();
    symlink(at("state"), at("data/innocent")).unwrap();
    symlink(at("docker.sock"), at("data/d.sock")).unwrap();
    let kept = home.kept();
    // What is harmless is seen to pass.
    assert_eq!(kept.check(&at("data")), Ok(at("data")));
    assert_eq!(kept.check(&at("data/../data/deep")), Ok(at("data/deep")));
    for name in
        ["state", "state/agents", "config", "cache", "engine", "data/innocent", ".", "project/sub", "project"]
    {
        assert!(kept.check(&at(name)).is_err(), "{name}");
    }
    for path in ["/", "/proc", "/proc/self", "/sys", "/dev/null", "/run", "/var/run"] {
        assert!(kept.check(Path::new(path)).is_err(), "{path}");
    }
    for name in ["docker.sock", "data/d.sock"] {
        assert_eq!(kept.check(&at(name)), Err(VolumeError::Docker(at("docker.sock"))));
    }
    let socket = VolumeError::Special { path: at("data/other.sock"), what: "a socket" };
    assert_eq!(kept.check(&at("data/other.sock")), Err(socket));
    fs::create_dir_all(at("code/project")).unwrap();
    let within = Kept { project: at("code/project"), ..home.kept() };
    assert!(kept.check(&at("code")).is_ok() && within.check(&at("code")).is_err());
    assert!(matches!(kept.check(&at("nothing")), Err(VolumeError::Missing { .. })));
}

#[test]
fn what_became_a_link_is_not_mounted_again() {
    let home = Home::new("moved");
    let at = |name: &str| home.0.join(name);
    let kept = home.kept();
    let mounted = kept.check(&at("data/deep")).unwrap();
    assert_eq!(kept.check_again(&mounted), Ok(()));
    fs::rename(at("data/deep"), at("data/away")).unwrap();
    symlink(at("data/away"), at("data/deep")).unwrap();
    assert_eq!(
        kept.check_again(&mounted),
        Err(VolumeError::Moved { was: mounted.clone(), is: at("data/away") })
    );
    fs::remove_file(at("data/deep")).unwrap();
    symlink(at("state"), at("data/deep")).unwrap();
    assert!(matches!(kept.check_again(&mounted), Err(VolumeError::Kept { .. })));
}

#[test]
fn typed_paths_begin_where_the_user_stands_and_clawker_s_volumes_are_its_own() {
    let home = Home::new("typed");
    let kept = home.kept();
    let volumes = [parse("./deep:/x").unwrap(), parse("cache:/y").unwrap()];
    let checked = kept.check_all(&volumes, &home.0.join("data")).unwrap();
    assert_eq!(checked[0].source, Source::Host(home.0.join("data/deep")));
    assert_eq!(checked[1], volumes[1]);
    let own = parse("clawker.p.dev:/x").unwrap();
    assert_eq!(kept.check_all(&[own], &home.0), Err(VolumeError::OwnVolume("clawker.p.dev".into())));
}
