//! One history of every kind of signer, judged in one run, beside the tools that made the
//! signatures. What is expected of both is in testdata/mixed/expected.tsv.

use std::{collections::BTreeMap, fs};

use notme_core::{armor::armor, time::UnixTime};
use notme_testkit::{
    commit::with_signature,
    gnupg::Gnupg,
    oracle::oracle,
    repository::{Repository, run},
    sigstore::{AT, Account, Gitsigned, ISSUER, TestSigstore},
    testdata,
};
use serde_json::Value;
use sigstore_verify::{VerificationPolicy, Verifier, trust_root::TrustedRoot, types::Bundle};

use crate::world::{World, told};

const TEAM: &str = "Alice <alice@example.org>";
const MALLORY: &str = "Mallory <mallory@example.org>";
const FORGE: &str = "Forge <noreply@forge.invalid>";
const CAROL: &str = "Carol <carol@corp.example>";
const MINUTE: i64 = 60;

/// Keys of people and companies, in `$HOME`.
const KEYS: &str = r#"
set -e
cd "$HOME"
printf '[req]\ndistinguished_name=name\n[name]\n' > openssl.cnf
export OPENSSL_CONF="$HOME/openssl.cnf"
authority() {
    openssl req -x509 -nodes -newkey rsa:2048 -keyout "$1.key" -out "$1.pem" -subj "/CN=$1/O=$1" -days 30 \
        -addext keyUsage=critical,keyCertSign -addext basicConstraints=critical,CA:true
}
# issue AUTHORITY NAME USAGE KEY...
issue() {
    by=$1 name=$2 usage=$3
    shift 3
    openssl req -new -nodes -newkey "$@" -keyout "$name.key" -out "$name.csr" -subj "/CN=$name/O=$by"
    printf 'keyUsage=critical,digitalSignature\nextendedKeyUsage=%s\nsubjectAltName=email:carol@corp.example\n' "$usage" > "$name.ext"
    openssl x509 -req -in "$name.csr" -CA "$by.pem" -CAkey "$by.key" -CAcreateserial -days 30 -extfile "$name.ext" -out "$name.pem"
}
authority corp
authority other
issue corp p256 emailProtection ec -pkeyopt ec_paramgen_curve:P-256
issue corp p384 emailProtection ec -pkeyopt ec_paramgen_curve:P-384
issue corp rsa emailProtection rsa:2048
issue corp tls serverAuth ec -pkeyopt ec_paramgen_curve:P-256
issue other stranger emailProtection ec -pkeyopt ec_paramgen_curve:P-256
for key in alice bob ca mallory; do ssh-keygen -q -t ed25519 -N '' -C '' -f "$key"; done
ssh-keygen -q -s ca -I bob -n bob@example.org -V -1h:+1h bob.pub
printf 'alice@example.org namespaces="git" %s\n' "$(cat alice.pub)" > signers
printf '*@example.org cert-authority,namespaces="git" %s\n' "$(cat ca.pub)" >> signers
printf 'disable-crl-checks\n' > "$GNUPGHOME/gpgsm.conf"
gpgsm --import corp.pem
openssl x509 -in corp.pem -noout -fingerprint -sha1 | sed 's/.*=\(.*\)/\1 S/' > "$GNUPGHOME/trustlist.txt"
"#;

/// The history while it grows, and what each of its objects is called.
struct Mixed {
    world: World,
    gpg: Gnupg,
    header: &'static str,
    fingerprints: BTreeMap<&'static str, String>,
    named: BTreeMap<&'static str, String>,
    /// What was asked of a tool that is not git.
    answers: BTreeMap<&'static str, bool>,
}

impl Mixed {
    fn new(repository: Repository, header: &'static str) -> Self {
        let mut world = World::of(repository);
        let gpg = Gnupg::new();
        world.set_env("GNUPGHOME", gpg.path());
        let people = [TEAM, MALLORY, FORGE];
        let fingerprints =
            people.map(|name| (name, gpg.generate(name, "ed25519", "sign", "never")));
        let made = run(&mut world.shell(KEYS), b"");
        assert!(made.status.success(), "{}", told(&made));
        world.notme_ok(&["init", "--agent", "claude"]);
        for (name, keys) in [("team", TEAM), ("forge", FORGE)] {
            let file = world.home().join(name);
            fs::write(&file, gpg.export(keys)).unwrap();
            let file = file.to_str().unwrap();
            world.notme_ok(&["trust", "add", "--name", name, "--openpgp", file]);
        }
        let home = |name: &str| world.home().join(name).to_str().unwrap().to_owned();
        let signers = home("signers");
        world.notme_ok(&[
            "trust",
            "add",
            "--name",
            "signers",
            "--allowed-signers",
            &signers,
        ]);
        world.notme_ok(&[
            "trust",
            "add",
            "--name",
            "corp",
            "--x509",
            &home("corp.pem"),
        ]);
        Self {
            world,
            gpg,
            header,
            fingerprints: fingerprints.into(),
            named: BTreeMap::new(),
            answers: BTreeMap::new(),
        }
    }

    fn head(&self) -> Option<String> {
        let head = self.world.git(&["rev-parse", "--verify", "-q", "HEAD"]);
        let head = String::from_utf8(head.stdout).unwrap();
        Some(head.trim().to_owned()).filter(|head| !head.is_empty())
    }

    fn name(&mut self, name: &'static str) {
        let head = self.head().unwrap();
        self.named.insert(name, head);
    }

    /// The next commit's payload.
    fn payload(&self, committer: &str, at: UnixTime) -> Vec<u8> {
        let (tree, at) = (self.world.empty_tree(), at.secs());
        let parent = self.head().map(|head| format!("parent {head}\n"));
        let parent = parent.unwrap_or_default();
        format!("tree {tree}\n{parent}author {CAROL} {at} +0000\ncommitter {committer} {at} +0000\n\nm\n")
            .into_bytes()
    }

    fn put(&mut self, name: &'static str, payload: &[u8], signature: &str) {
        let raw = with_signature(payload, self.header, signature);
        self.put_raw(name, &raw);
    }

    fn put_raw(&mut self, name: &'static str, raw: &[u8]) {
        let oid = self.world.store(raw);
        self.world.git_ok(&["update-ref", "refs/heads/main", &oid]);
        self.name(name);
    }

    fn gitsigned(&mut self, name: &'static str, sigstore: &TestSigstore, account: &Account) {
        let payload = self.payload("Alice <alice@test.invalid>", AT.plus(MINUTE));
        let signed = sigstore.sign(account, &payload);
        let mut answer = sigstore.answer(&signed, AT.plus(2 * MINUTE));
        if name.contains("forged") {
            answer.root[0] ^= 1;
        }
        let entry = (!name.contains("without")).then(|| answer.protobuf());
        let mut bundle = signed.bundle(&answer);
        if entry.is_none() {
            bundle["verificationMaterial"]["tlogEntries"] = Value::Array(Vec::new());
        }
        self.answers
            .insert(name, is_taken(&signed, &bundle, sigstore));
        self.put(name, &payload, &armor(&signed.cms(entry.as_deref(), None)));
    }

    fn by_gpg(&mut self, name: &'static str, who: &str, committer: &str) {
        let payload = self.payload(committer, now());
        let signature = self.gpg.sign(&self.fingerprints[who], &payload);
        self.put(name, &payload, &String::from_utf8(signature).unwrap());
    }

    fn by_ssh(&mut self, name: &'static str, key: &str, committer: &str) {
        let payload = self.payload(committer, now());
        let mut keygen = self.world.command(oracle("ssh-keygen"));
        let key = self.world.home().join(key);
        keygen
            .args(["-Y", "sign", "-q", "-n", "git", "-f"])
            .arg(key);
        let output = run(&mut keygen, &payload);
        assert!(output.status.success(), "{}", told(&output));
        self.put(name, &payload, &String::from_utf8(output.stdout).unwrap());
    }

    fn by_openssl(&mut self, name: &'static str, key: &str, committer: &str) {
        let payload = self.payload(committer, now());
        let digest = if key == "p384" { "sha384" } else { "sha256" };
        let mut openssl = self.world.command(oracle("openssl"));
        openssl.current_dir(self.world.home());
        openssl.args(["cms", "-sign", "-binary", "-nosmimecap", "-outform", "DER"]);
        openssl.args(["-md", digest]);
        openssl.args([
            "-signer",
            &format!("{key}.pem"),
            "-inkey",
            &format!("{key}.key"),
        ]);
        let output = run(&mut openssl, &payload);
        assert!(output.status.success(), "{}", told(&output));
        self.put(name, &payload, &armor(&output.stdout));
    }

    /// Runs git with the tools that people have, and their keys.
    fn stock(&self, arguments: &[&str], x509: bool) -> bool {
        let mut options = vec![
            format!("gpg.program={}", oracle("gpg").display()),
            format!("gpg.openpgp.program={}", oracle("gpg").display()),
            format!("gpg.ssh.program={}", oracle("ssh-keygen").display()),
            format!(
                "gpg.ssh.allowedSignersFile={}",
                self.world.home().join("signers").display()
            ),
        ];
        if x509 {
            options.push(format!("gpg.x509.program={}", oracle("gpgsm").display()));
        }
        let mut git = self.world.command(oracle("git"));
        for option in &options {
            git.args(["-c", option]);
        }
        run(git.args(arguments), b"").status.success()
    }

    fn native(&self, name: &str) -> bool {
        if let Some(answer) = self.answers.get(name) {
            return *answer;
        }
        let verb = match name.starts_with("tag") {
            true => "verify-tag",
            false => "verify-commit",
        };
        self.stock(&[verb, &self.named[name]], name != "ours")
    }
}

fn now() -> UnixTime {
    UnixTime::from(std::time::SystemTime::now())
}

fn is_taken(signed: &Gitsigned, bundle: &Value, sigstore: &TestSigstore) -> bool {
    let root = TrustedRoot::from_json(&sigstore.trusted_root().to_string()).unwrap();
    let policy = VerificationPolicy::any_identity()
        .require_identity("alice@test.invalid")
        .require_issuer(ISSUER)
        .skip_sct();
    let Ok(bundle) = Bundle::from_json(&bundle.to_string()) else {
        return false;
    };
    let verifier = Verifier::new(&root).unwrap();
    let verified = verifier.verify(signed.attributes.as_slice(), &bundle, &policy);
    verified.is_ok()
}

/// Makes the whole history.
fn made(repository: Repository, header: &'static str) -> Mixed {
    let mut it = Mixed::new(repository, header);
    let old = it.payload(CAROL, AT);
    it.put_raw("unsigned, before the baseline", &old);

    let sigstore = TestSigstore::new(1);
    let root = it.world.home().join("trusted_root.json");
    fs::write(&root, sigstore.trusted_root().to_string()).unwrap();
    let root = root.to_str().unwrap().to_owned();
    let shown = it
        .world
        .notme_ok(&["trust", "add", "--name", "sigstore", "--sigstore", &root]);
    assert!(shown.contains("  log      "), "{shown}");
    let alice = Account::default();
    it.gitsigned("gitsign, logged", &sigstore, &alice);
    it.gitsigned("gitsign, log entry forged", &sigstore, &alice);
    it.gitsigned("gitsign, without log entry", &sigstore, &alice);
    let other = Account {
        email: Some("bob@test.invalid".to_owned()),
        ..Account::default()
    };
    it.gitsigned("gitsign, another account", &sigstore, &other);

    it.world.git_ok(&["reset", "-q", "--hard"]);
    it.world.signed_commit("ours");
    it.name("ours");
    it.by_gpg("OpenPGP, of the team", TEAM, TEAM);
    it.by_gpg("OpenPGP, of a stranger", MALLORY, MALLORY);
    it.by_gpg("OpenPGP, of the forge", FORGE, FORGE);
    it.by_gpg("OpenPGP, of the forge for somebody", FORGE, TEAM);
    it.by_ssh("SSH, of the team", "alice", TEAM);
    it.by_ssh("SSH, certified", "bob-cert.pub", "Bob <bob@example.org>");
    it.by_ssh("SSH, of a stranger", "mallory", MALLORY);
    it.by_openssl("X.509, of the company", "p256", CAROL);
    it.by_openssl("X.509, RSA", "rsa", CAROL);
    it.by_openssl("X.509, P-384", "p384", CAROL);
    it.by_openssl("X.509, for TLS alone", "tls", CAROL);
    it.by_openssl("X.509, of another company", "stranger", CAROL);
    it.by_openssl("X.509, for somebody else", "p256", TEAM);
    it.by_gpg("tampered", TEAM, TEAM);
    let head = it.head().unwrap();
    let raw = it.world.read_object("commit", &head);
    let tampered = String::from_utf8(raw)
        .unwrap()
        .replace("\n\nm\n", "\n\nn\n");
    it.put_raw("tampered", tampered.as_bytes());
    let unsigned = it.payload(CAROL, now());
    it.put_raw("unsigned", &unsigned);

    // git makes the rest, of a side branch.
    for (name, value) in [("NAME", "Alice"), ("EMAIL", "alice@example.org")] {
        it.world.set_env(format!("GIT_COMMITTER_{name}"), value);
    }
    let key = it.fingerprints[TEAM].clone();
    let program = format!("gpg.program={}", oracle("gpg").display());
    let signing = format!("user.signingkey={key}");
    let git = |arguments: &[&str]| {
        let options = ["-c", "gpg.format=openpgp", "-c", &program, "-c", &signing];
        it.world.git_ok(&[&options, arguments].concat())
    };
    let team = it.named["OpenPGP, of the team"].clone();
    git(&["checkout", "-q", "-b", "side", &team]);
    git(&["commit", "-q", "-S", "--allow-empty", "-m", "side"]);
    git(&["tag", "-s", "-m", "one", "one"]);
    git(&["tag", "-s", "-m", "two", "two", "one"]);
    git(&["checkout", "-q", "main"]);
    git(&["merge", "-q", "--no-ff", "-S", "-m", "merge", "one"]);
    let tags = ["one", "two"].map(|tag| git(&["rev-parse", tag]));
    it.name("merge of a tag");
    it.named
        .extend(["tag", "tag of a tag"].into_iter().zip(tags));
    it
}

/// Writes the policy that lets in whom it should.
fn policy(it: &Mixed) -> String {
    let baseline = &it.named["unsigned, before the baseline"];
    let forge = &it.fingerprints[FORGE];
    it.world.policy(&format!(
        r#"
        baseline = ["{baseline}"]
        [[authority]]
        name = "embedded"
        [[authority]]
        name = "sigstore"
        [[authority]]
        name = "team"
        time_basis_floor = "declared"
        [[authority]]
        name = "forge"
        time_basis_floor = "declared"
        [[authority]]
        name = "signers"
        time_basis_floor = "declared"
        [[authority]]
        name = "corp"
        time_basis_floor = "declared"

        [[principal]]
        name = "claude"
        kind = "agent"
        identities = ["wimse://*"]
        authority = "embedded"
        [[principal]]
        name = "people"
        kind = "human"
        identities = ["mailto:*@example.org", "mailto:*@corp.example"]
        [[principal]]
        name = "alice"
        kind = "human"
        identities = ["mailto:alice@test.invalid"]
        issuers = ["{ISSUER}"]
        [[principal]]
        name = "forge"
        kind = "web-flow"
        fingerprints = ["{forge}"]
        emails = ["noreply@forge.invalid"]

        [[allow]]
        principals = ["agent", "web-flow"]
        [[allow]]
        principals = ["human"]
        committer = "signer"
        "#
    ))
}

/// Judges all of it in one run.
fn judged(it: &Mixed, options: &[&str]) -> BTreeMap<String, Value> {
    let policy = policy(it);
    let asked = ["--all", "--tags", "--policy", &policy];
    let (exit, document) = it.world.verdicts(&[&asked, options].concat());
    assert_eq!(exit, Some(1), "{document}");
    let objects = document["objects"].as_array().unwrap().iter();
    let by_oid: BTreeMap<_, _> = objects
        .map(|object| (object["oid"].as_str().unwrap(), object))
        .collect();
    let of = |oid: &String| match by_oid.get(oid.as_str()) {
        Some(object) => (*object).clone(),
        None => panic!("{oid} is not among {:?}", by_oid.keys()),
    };
    let named = it.named.iter();
    named
        .map(|(name, oid)| ((*name).to_owned(), of(oid)))
        .collect()
}

fn agrees(it: &Mixed) {
    let verdicts = judged(it, &[]);
    let table = testdata::text("mixed/expected.tsv");
    let rows: Vec<Vec<_>> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(rows.len(), it.named.len());
    let mut wrong = Vec::new();
    for row in rows {
        let [name, _asked, native, ours] = row[..] else {
            panic!("four columns: {row:?}");
        };
        let object = &verdicts[name];
        let said = object["code"].as_str().or(object["verdict"].as_str());
        let theirs = if it.native(name) { "yes" } else { "no" };
        if (theirs, said) != (native, Some(ours)) {
            wrong.push(format!("{name}: {theirs}, {object}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Who signed is what the report says, and not who the author is.
    let identity = |name: &str| verdicts[name]["identity"].as_str().unwrap().to_owned();
    assert_eq!(
        identity("OpenPGP, of the forge"),
        "mailto:noreply@forge.invalid"
    );
    assert_eq!(identity("SSH, certified"), "mailto:bob@example.org");
    assert_eq!(verdicts["gitsign, logged"]["time_basis"], "logged");
    assert_eq!(verdicts["gitsign, logged"]["oidc_issuer"], ISSUER);
    // What the log dated rests on the log.
    let logged = &verdicts["gitsign, logged"];
    let log = logged["log_entry"]["kid"].as_str().unwrap();
    let asked = ["verify", "--compromised", log, "--format", "json"];
    let radius: Value = serde_json::from_slice(&it.world.notme(&asked).stdout).unwrap();
    let mut objects = radius["objects"].as_array().unwrap().iter();
    let found = objects.find(|found| found["oid"] == logged["oid"]);
    assert_eq!(found.unwrap()["exposure"], "since", "{radius}");
    let merged = &verdicts["merge of a tag"]["merge_tags"][0];
    assert_eq!(
        (&merged["name"], &merged["verdict"]),
        (&"one".into(), &"accepted".into())
    );
    shows(it, &verdicts);
    // Behind so many others, what was found is written down until the end.
    it.world.import(&others());
    for options in [&[][..], &["--no-cache"]] {
        assert_eq!(judged(it, options), verdicts);
    }
}

/// Five thousand unsigned commits, newer than everything else.
fn others() -> String {
    let commit = "commit refs/heads/others\ncommitter A <a@example.invalid>";
    (4_000_000_000_u64..4_000_005_000)
        .map(|at| format!("{commit} {at} +0000\ndata 1\nx\n"))
        .collect()
}

/// People see what the JSON says of logs and of tags in merges.
fn shows(it: &Mixed, verdicts: &BTreeMap<String, Value>) {
    let policy = policy(it);
    let report = |format: &str| {
        let asked = ["verify", "--all", "--tags", "--policy", &policy];
        let output = it
            .world
            .notme(&[&asked[..], &["--format", format]].concat());
        assert_eq!(output.status.code(), Some(1), "{}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let log = &verdicts["gitsign, logged"]["log_entry"];
    let (log, at) = (log["kid"].as_str().unwrap(), log["at"].as_str().unwrap());
    let (html, markdown) = (report("html"), report("markdown"));
    for part in [
        format!(
            "log entry: logged</span> <span class=\"soft\">at {at}</span> <a href=\"#t-{log}\">"
        ),
        format!("<tr id=\"t-{log}\"><th scope=\"row\"><code>{log}</code></th><td>log entry</td>"),
        "carries the tag <code>one</code>: <span class=\"accepted\">".to_owned(),
    ] {
        assert!(html.contains(&part), "{part}: {html}");
    }
    for part in [
        format!("| log entry: logged | ` {log} ` |"),
        "| accepted | ` one ` | ".to_owned(),
    ] {
        assert!(markdown.contains(&part), "{part}: {markdown}");
    }
}

#[test]
fn every_kind_of_signer_is_judged_as_its_own_tool_does_or_the_table_says_why_not() {
    agrees(&made(Repository::new(), "gpgsig"));
}

#[test]
fn every_kind_of_signer_is_judged_so_in_a_sha256_repository() {
    agrees(&made(Repository::sha256(), "gpgsig-sha256"));
}
