//! Trust in the host's authority: each real tool fetches something through an inspected host, with no setting but what
//! the agent's container has by itself; and refuses the same where its trust is taken away.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;

use clawker_integration::rig::docker::docker;
use clawker_integration::rig::servers::TOOLS as IMAGE;
use clawker_integration::rig::workspace;
use clawker_integration::world::{Said, World};

const HOST: &str = "inspected.test";
/// What every tool comes back with.
const GREETING: &str = "hello from the fake internet";
/// Takes every variable away that tells a tool whom to trust.
const DISTRUST: &str = "for name in $(env | grep -E '=/run/clawker-pub/' | cut -d= -f1); do unset $name; done; \
     JAVA='java -Djavax.net.ssl.trustStore=/etc/ssl/certs/java/cacerts'";

/// A tool, what it is asked to do, and how it says that it does not trust.
struct Tool {
    name: &'static str,
    script: &'static str,
    refuses: &'static str,
}

const TOOLS: [Tool; 12] = [
    Tool {
        name: "curl",
        script: "curl -sS https://inspected.test/hello.txt",
        refuses: "SSL certificate problem",
    },
    Tool {
        name: "wget",
        script: "wget -nv -t 1 -O - https://inspected.test/hello.txt",
        refuses: "is not trusted",
    },
    Tool {
        name: "git",
        script: "git clone -q https://inspected.test/repo.git repo && cat repo/README",
        refuses: "certificate verification failed",
    },
    Tool {
        name: "node",
        script: "node -e 'fetch(\"https://inspected.test/hello.txt\").then(a => a.text()).then(console.log)'",
        refuses: "UNABLE_TO_",
    },
    Tool {
        name: "npm",
        script: "npm --registry https://inspected.test/ --fetch-retries 0 install --no-audit --no-fund @dev/greeting \
                 && node -p 'require(\"@dev/greeting\")'",
        refuses: "UNABLE_TO_",
    },
    Tool {
        name: "python's ssl, as strict as 3.13",
        script: "python3 -c 'import ssl, urllib.request as u\n\
                 c = ssl.create_default_context(); c.verify_flags |= ssl.VERIFY_X509_STRICT\n\
                 print(u.urlopen(\"https://inspected.test/hello.txt\", context=c).read().decode())'",
        refuses: "CERTIFICATE_VERIFY_FAILED",
    },
    Tool {
        name: "requests",
        script: "python3 -c 'import requests; print(requests.get(\"https://inspected.test/hello.txt\").text)'",
        refuses: "CERTIFICATE_VERIFY_FAILED",
    },
    Tool {
        name: "pip",
        script: "pip download --disable-pip-version-check --retries 0 --no-deps \
                 --index-url https://inspected.test/simple/ greeting \
                 && python3 -m zipfile -e greeting-1.0.0-py3-none-any.whl . && cat greeting.py",
        refuses: "CERTIFICATE_VERIFY_FAILED",
    },
    Tool {
        name: "go",
        script: "export GOPROXY=https://inspected.test/go GONOSUMDB=inspected.test GOFLAGS=-modcacherw\n\
                 go mod init test 2>/dev/null; go get inspected.test/greeting@v1.0.0 \
                 && cat go/pkg/mod/inspected.test/greeting@v1.0.0/greeting.go",
        refuses: "certificate signed by unknown authority",
    },
    Tool {
        name: "cargo",
        script: "mkdir src .cargo; touch src/lib.rs; export CARGO_NET_RETRY=0\n\
                 echo '[registries.here]\nindex = \"sparse+https://inspected.test/index/\"' >.cargo/config.toml\n\
                 echo '[package]\nname = \"test\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
                 [dependencies]\ngreeting = { version = \"1\", registry = \"here\" }' >Cargo.toml\n\
                 cargo fetch -q && cat .cargo/registry/src/*/greeting-1.0.0/src/lib.rs",
        refuses: "SSL certificate",
    },
    Tool {
        name: "java",
        script: "$JAVA /home/dev/Get.java https://inspected.test/hello.txt",
        refuses: "PKIX path building failed",
    },
    Tool {
        name: "openssl",
        script: "printf 'GET /hello.txt HTTP/1.1\\r\\nHost: inspected.test\\r\\nConnection: close\\r\\n\\r\\n' | openssl s_client -quiet \
                 -verify_return_error -verify_hostname inspected.test -connect inspected.test:443 \
                 -servername inspected.test",
        refuses: "certificate verify failed",
    },
];

/// A world with the site, and an agent that may reach it, through inspection.
fn world(instance: &str) -> World {
    let world = World::new(instance).unwrap();
    let rule = format!("{{dst: {HOST}, inspect: true}}");
    world
        .sandbox
        .write_project_file(&format!(
            "project: demo\nsecurity:\n  extra_ca: [{}]\n  firewall:\n    rules:\n      - {rule}\n",
            world.rig.ca_pem_path().display()
        ))
        .unwrap();
    let site = world.rig.site(HOST).unwrap();
    let tools = workspace().join("integration/tools");
    let mounts = [format!("{}:/tools:ro", tools.display()), format!("{}:/site", site.display())];
    docker(&[
        "run",
        "--rm",
        "--network",
        "none",
        "-v",
        &mounts[0],
        "-v",
        &mounts[1],
        IMAGE,
        "bash",
        "/tools/site.sh",
        "/site",
        HOST,
    ])
    .unwrap();
    world
        .must(&["run", "--agent", "dev", "--image", IMAGE, "--detach", "--yes", "--", "sleep", "3600"])
        .unwrap();
    let java = tools.join("Get.java");
    docker(&["cp", &java.to_string_lossy(), &format!("{}:/home/dev/Get.java", world.container("dev"))])
        .unwrap();
    world
}

/// Runs a script as the agent in a home of its own, so that nothing of an earlier run helps it.
fn fetch(world: &World, before: &str, script: &str) -> Said {
    let script = format!(
        "export HOME=$(mktemp -d) CARGO_HOME=.cargo JAVA=java; unset GOPATH; cd $HOME; {before}\n{script}"
    );
    world.clawker(&["exec", "--agent", "dev", "--", "timeout", "60", "bash", "-c", &script]).unwrap()
}

/// The issuer that a client sees.
fn issuer(world: &World) -> String {
    let said = fetch(
        world,
        "",
        &format!(
            "openssl s_client -connect {HOST}:443 -servername {HOST} </dev/null 2>/dev/null | openssl x509 -noout -issuer"
        ),
    );
    said.out
}

#[test]
fn every_tool_trusts_an_inspected_host_and_none_without_our_root() {
    let world = world("trust");
    assert!(issuer(&world).contains("CN = Clawker CA ("), "not ours: {}", issuer(&world));
    let mut wrong = Vec::new();
    for Tool { name, script, refuses } in TOOLS {
        let before = world.rig.records().len();
        let said = fetch(&world, "", script);
        if said.code != 0 || !said.out.contains(GREETING) {
            wrong.push(format!("{name} does not trust: {said:?}"));
        }
        let asked = world.rig.since(before);
        if !asked.iter().any(|record| record.sni == HOST && record.what.starts_with("GET /")) {
            wrong.push(format!("{name} got no answer of the site's"));
        }
        if name == "java" && !said.err.is_empty() {
            wrong.push(format!("java is not quiet: {said:?}"));
        }
        let before = world.rig.records().len();
        let said = fetch(&world, DISTRUST, script);
        if said.code == 0
            || said.out.contains(GREETING)
            || !format!("{}{}", said.out, said.err).contains(refuses)
        {
            wrong.push(format!("{name} without our root: {said:?}"));
        }
        let asked = world.rig.since(before);
        if asked.iter().any(|record| record.what.starts_with("GET /")) {
            wrong.push(format!("{name} without our root asked all the same"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // Java's store is whole, and holds the image's roots beside ours and the project's; also where the image's own is
    // of the other form, without a password, as Java has it since 18.
    let count = |store: &str| -> usize {
        let said = fetch(&world, "", &format!("keytool -list -keystore {store} -storepass changeit"));
        assert_eq!(said.code, 0, "{said:?}");
        said.out.matches("trustedCertEntry").count()
    };
    let image = count("/etc/ssl/certs/java/cacerts");
    assert!(image > 100);
    assert_eq!(count("/run/clawker-pub/java-cacerts"), image + 2);
    let convert = "set -e; export JAVA_TOOL_OPTIONS='-Dkeystore.pkcs12.certProtectionAlgorithm=NONE \
         -Dkeystore.pkcs12.macAlgorithm=NONE'; new='-keystore /tmp/p12 -storetype PKCS12 -storepass changeit'
         keytool -importkeystore -srckeystore /etc/ssl/certs/java/cacerts -srcstorepass changeit -noprompt \
             -destkeystore /tmp/p12 -deststoretype PKCS12 -deststorepass changeit
         keytool -delete $new -alias \"$(keytool -list $new | grep -m1 trustedCert | cut -d, -f1)\"
         cat /tmp/p12 >/etc/ssl/certs/java/cacerts";
    let converted = world.inside("dev", "0", &["bash", "-c", convert]).unwrap();
    assert_eq!(converted.code, 0, "{converted:?}");
    world.must(&["stop", "dev"]).unwrap();
    world.must(&["start", "dev"]).unwrap();
    // One was taken out, so that it is this store which was read and no other.
    assert_eq!(count("/run/clawker-pub/java-cacerts"), image - 1 + 2);
    let java = TOOLS.iter().find(|tool| tool.name == "java").unwrap();
    let (said, distrusts) = (fetch(&world, "", java.script), fetch(&world, DISTRUST, java.script));
    assert_eq!(said.out, GREETING, "{said:?}");
    assert!(distrusts.err.contains(java.refuses), "{distrusts:?}");
}

#[test]
fn a_new_authority_reaches_a_running_agent_and_the_old_one_is_trusted_no_more() {
    let world = world("rotate");
    let probes = || TOOLS.iter().filter(|tool| ["curl", "java", "node", "wget"].contains(&tool.name));
    let old = issuer(&world);
    let kept = fetch(&world, "", "cat /run/clawker-pub/ca-extra.pem >/tmp/old.pem; ls -l /run/clawker-pub");
    assert!(kept.out.contains("java-cacerts"), "{kept:?}");
    let with_old = || fetch(&world, "", "curl -sS --cacert /tmp/old.pem https://inspected.test/hello.txt");
    assert_eq!(with_old().out, GREETING);

    let unasked = world.clawker(&["firewall", "rotate-ca"]).unwrap();
    assert!(unasked.code == 1 && unasked.err.contains("--yes"), "{unasked:?}");
    assert_eq!(issuer(&world), old);

    let said = world.must(&["firewall", "rotate-ca", "--yes", "--json"]).unwrap();
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["running"][0], "demo/dev", "{said}");
    let new = issuer(&world);
    assert!(new != old && new.contains("CN = Clawker CA ("), "{old} {new}");
    assert_eq!(with_old().code, 60, "{:?}", with_old());
    for round in ["running", "after a restart"] {
        for Tool { name, script, .. } in probes() {
            let said = fetch(&world, "", script);
            assert!(said.code == 0 && said.out.contains(GREETING), "{round}, {name}: {said:?}");
        }
        world.must(&["stop", "dev"]).unwrap();
        world.must(&["start", "dev"]).unwrap();
    }

    // Wherever an agent can look, there is no key.
    let state = world.state_folder();
    assert!(fs::read_to_string(state.join("certs/ca.key")).unwrap().contains("PRIVATE KEY"));
    let found = std::process::Command::new("grep")
        .args(["-rlI", "PRIVATE KEY"])
        .args([state.join("agents"), world.sandbox.project()])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    let inside = world
        .inside(
            "dev",
            "0",
            &["grep", "-rlI", "-e", "PRIVATE KEY-----", "/run/clawker-pub", "/run/clawker", "/etc/ssl/certs"],
        )
        .unwrap();
    assert_eq!(inside.out, "", "{inside:?}");
    let doctor = world.clawker(&["doctor"]).unwrap();
    assert!(
        doctor.out.lines().any(|line| line.starts_with("ok") && line.contains("the authority is good")),
        "{doctor:?}"
    );
}
