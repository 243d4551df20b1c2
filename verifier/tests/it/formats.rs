//! Reports for CI and for people, read by strangers' programs.

use std::{fs, process::Output};

use notme_core::time::UnixTime;
use notme_testkit::{
    cast::{LeafSpec, TestAuthority},
    clock::NOW,
    commit::{CommitSpec, with_signature},
    oracle::oracle,
    repository::{Repository as Git, run},
    testdata,
};
use notme_verifier::{
    Judge, Outcome, Policy, Repository, Trust,
    report::{
        Lines, write_github, write_gitlab, write_html, write_json, write_junit, write_markdown,
        write_sarif,
    },
    trust::{Authority, PinKind},
    verify_range,
};
use serde_json::Value;

use notme_testkit::mint::Mint;

use crate::history::{History, policy};

const POLICY_PATH: &str = ".notme/policy.toml";
/// A name and a path that mean something to every format, and to terminals.
const EVIL_NAME: &str =
    "\u{1b}]0;x\u{7}<script>alert(1)</script> `|` **b** {0} [l](http://x) @you & \"'\u{202e}";
const EVIL_PATH: &str = "a \u{1b}[31m<img src=x>\n::error::,:%|`\"'{1}.txt";
const DAY: i64 = 86_400;
const COMMITS: usize = 12;

/// A repository with every kind of signer, and the verdicts on it.
struct Audit {
    git: Git,
    outcome: Outcome,
}

/// Makes commits a day apart: agents' most of the time, one by a person, one by a stranger with an
/// evil name, one unsigned that changes an evil path. The first has a parent that is missing.
fn audit() -> Audit {
    let git = Git::new();
    let agents = TestAuthority::born(1, NOW.plus(-400 * DAY));
    let long = |mint: Mint<'static>| Mint {
        not_before: NOW.plus(-90 * DAY),
        not_after: NOW.plus(90 * DAY),
        ..mint
    };
    let company = long(Mint::ca("Company", 0x71, None)).self_signed();
    let person = long(Mint::new("Bob", 0x72))
        .emails(&["bob@example.invalid"])
        .usage([7, 0x80])
        .signed_by(&company);
    let elsewhere = long(Mint::ca("Elsewhere", 0x73, None)).self_signed();
    let stranger = long(Mint::new(EVIL_NAME, 0x74)).signed_by(&elsewhere);
    let mut parent = "0123456789".repeat(4);
    for number in 0..COMMITS {
        let evil = number == 7;
        git.write(if evil { EVIL_PATH } else { "file" }, &number.to_string());
        git.git_ok(&["add", "--all"]);
        let at = NOW.plus((i64::try_from(number).unwrap() - 20) * DAY);
        let spec = CommitSpec {
            parents: vec![parent],
            at,
            ..CommitSpec::new(&git.git_ok(&["write-tree"]))
        };
        let payload = spec.payload();
        let raw = match number {
            3 => signed(&payload, &person.sign(&payload, &[])),
            5 => signed(&payload, &stranger.sign(&payload, &[])),
            7 => payload,
            _ => agents.leaf(&bound(&payload, at)).sign_commit(&payload, at),
        };
        parent = git.write_commit_object(&raw);
    }
    git.git_ok(&["update-ref", "refs/heads/main", &parent]);
    let scopes = PinKind::TrustDocument.default_scopes();
    let trust = Trust::new(
        vec![
            Authority::from_document("agents", scopes, &agents.trust(1, NOW)),
            Authority::from_certificates(
                "company",
                PinKind::X509,
                Vec::new(),
                vec![company.certificate],
            ),
        ],
        Vec::new(),
    );
    let policy = Policy::parse("time_basis_floor = \"declared\"\n[[authority]]\nname = \"agents\"\n[[authority]]\nname = \"company\"\n[[allow]]\nidentity = \"*\"\n").unwrap();
    let repository = Repository::discover(&git.path()).unwrap();
    let judge = Judge::new(&policy, &trust, NOW);
    let selection = repository.select_all().unwrap();
    let outcome = verify_range(&repository, &selection, &judge).unwrap();
    let outcome = outcome.with_places(&repository);
    let summary = outcome.summary();
    assert_eq!(
        (summary.accepted, summary.rejected, summary.undecided),
        (COMMITS - 2, 2, 1)
    );
    Audit { git, outcome }
}

fn bound(payload: &[u8], at: UnixTime) -> LeafSpec {
    LeafSpec {
        not_before: at.plus(-60),
        not_after: at.plus(300),
        ..LeafSpec::bound_to(payload)
    }
}

fn signed(payload: &[u8], cms: &[u8]) -> Vec<u8> {
    with_signature(payload, "gpgsig", &notme_core::armor::armor(cms))
}

impl Audit {
    fn written(&self, write: fn(&Outcome, &mut Vec<u8>) -> std::io::Result<()>) -> String {
        let mut written = Vec::new();
        write(&self.outcome, &mut written).unwrap();
        String::from_utf8(written).unwrap()
    }

    /// Writes a report to a file and has a program look at it.
    fn asked(&self, program: &str, arguments: &[&str], file: &str, report: &str) -> Output {
        let file = self.git.home().join(file);
        fs::write(&file, report).unwrap();
        let mut command = self.git.command(oracle(program));
        run(command.args(arguments).arg(file), b"")
    }
}

fn told(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    format!("{}\n{out}\n{err}", output.status)
}

fn write_folded(outcome: &Outcome, to: &mut Vec<u8>) -> std::io::Result<()> {
    Lines::folded().write_all(outcome, to)
}

fn id_of(audit: &Audit, code: &str) -> String {
    let objects = audit.outcome.objects().iter();
    let mut found = objects.filter(|it| {
        let named = it.judgement().verdict().code();
        named.is_some_and(|named| named.as_str() == code)
    });
    found.next().unwrap().id().to_string()
}

#[test]
fn nothing_that_moves_a_cursor_is_in_any_report() {
    let audit = audit();
    for write in [
        write_folded,
        write_json,
        write_sarif,
        write_junit,
        write_markdown,
        write_github,
        write_gitlab,
        write_html,
    ] {
        let report = audit.written(write);
        let is_moving = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!report.contains(is_moving), "{report}");
    }
}

#[test]
fn sarif_fits_the_official_schema() {
    let audit = audit();
    let report = audit.written(write_sarif);
    let schema = testdata::path("schemas/sarif-2.1.0.json");
    let file = audit.git.home().join("report.sarif");
    fs::write(&file, &report).unwrap();
    let mut command = audit.git.command(oracle("jsonschema"));
    let output = run(command.arg("-i").arg(&file).arg(&schema), b"");
    assert!(output.status.success(), "{}", told(&output));

    let log: Value = serde_json::from_str(&report).unwrap();
    let run = &log["runs"][0];
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(
            run["tool"]["driver"]["rules"][index]["id"],
            result["ruleId"]
        );
    }
    let of = |code: &str| results.iter().find(|it| it["ruleId"] == code).unwrap();
    let unsigned = of("unsigned");
    assert_eq!(unsigned["level"], "error");
    let place = &unsigned["locations"][0];
    assert_eq!(
        place["logicalLocations"][0]["fullyQualifiedName"],
        id_of(&audit, "unsigned").as_str()
    );
    let uri = &place["physicalLocation"]["artifactLocation"]["uri"];
    assert!(uri.as_str().unwrap().starts_with("a%20%1B%5B31m%3Cimg"));
    assert_eq!(of("object-missing")["level"], "warning");
    // Where there are too many, the least is left out.
    let levels: Vec<_> = results.iter().map(|it| it["level"].as_str()).collect();
    assert!(levels.is_sorted(), "{levels:?}");
    // Placeholders and links of others are none.
    let text = of("signer-untrusted")["message"]["text"].as_str().unwrap();
    assert!(text.contains("{{0}} \\[l\\](http://x)"), "{text}");
}

#[test]
fn junit_fits_the_schema_that_jenkins_has() {
    let audit = audit();
    let report = audit.written(write_junit);
    let schema = testdata::path("schemas/junit-10.xsd");
    let schema = schema.to_str().unwrap();
    let arguments = ["--noout", "--nonet", "--schema", schema];
    let output = audit.asked("xmllint", &arguments, "report.xml", &report);
    assert!(output.status.success(), "{}", told(&output));
    let count = |path: &str| {
        let query = format!("count({path})");
        let output = audit.asked("xmllint", &["--xpath", &query], "report.xml", &report);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(count("//testcase"), (COMMITS + 1).to_string());
    assert_eq!(count("//testcase[failure]"), "2");
    assert_eq!(count("//testcase[error/@type='object-missing']"), "1");
    assert_eq!(count("//failure/*"), "0", "nobody adds an element");
    assert_eq!(count("/testsuites[@failures='2' and @errors='1']"), "1");
}

#[test]
fn markdown_stays_a_table_whatever_stands_in_it() {
    let audit = audit();
    let report = audit.written(write_markdown);
    let arguments = [
        "-e",
        "table",
        "-e",
        "autolink",
        "-e",
        "strikethrough",
        "--unsafe",
    ];
    let output = audit.asked("cmark-gfm", &arguments, "report.md", &report);
    assert!(output.status.success(), "{}", told(&output));
    let html = String::from_utf8(output.stdout).unwrap();
    assert!(
        html.contains(
            "&lt;script&gt;alert(1)&lt;/script&gt; `\\u{7c}` **b** {0} [l](http://x) @you"
        ),
        "{html}"
    );
    for tag in ["<script", "<img", "<a ", "<strong", "<em"] {
        assert!(!html.contains(tag), "{tag}: {html}");
    }
    let rows = html.split("<h3>Not accepted</h3>").nth(1).unwrap();
    let rows = rows.split("</table>").next().unwrap();
    let rows: Vec<_> = rows.split("<tr>").skip(2).collect();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|it| it.matches("<td>").count() == 4));
    assert!(report.contains("Agents signed 9 of 10 accepted commits (90 %)"));
}

#[test]
fn annotations_of_github_are_one_command_a_line() {
    let audit = audit();
    let report = audit.written(write_github);
    let lines: Vec<_> = report.lines().collect();
    assert_eq!(lines.len(), 4);
    let unsigned = lines.iter().find(|it| it.contains("unsigned")).unwrap();
    assert!(
        unsigned.starts_with("::error file=a \\u{1b}[31m<img src=x>\\n%3A%3Aerror%3A%3A%2C%3A%25|"),
        "{unsigned}"
    );
    assert!(unsigned.contains(",line=1,title=notme%3A unsigned::commit "));
    let missing = lines.iter().find(|it| it.contains("object-missing"));
    assert!(missing.unwrap().starts_with("::warning title=notme"));
    assert!(lines[3].starts_with("::notice title=notme verify::13 objects: 10 accepted"));
}

#[test]
fn annotations_of_gitlab_have_what_its_documentation_asks_for() {
    let audit = audit();
    let report: Value = serde_json::from_str(&audit.written(write_gitlab)).unwrap();
    let issues = report.as_array().unwrap();
    assert_eq!(issues.len(), 3);
    let mut fingerprints: Vec<_> = issues
        .iter()
        .map(|it| it["fingerprint"].as_str().unwrap())
        .collect();
    fingerprints.sort_unstable();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 3);
    for issue in issues {
        for member in ["/description", "/check_name", "/location/path"] {
            assert!(issue.pointer(member).unwrap().is_string(), "{issue}");
        }
        assert!(issue["location"]["lines"]["begin"].is_u64());
        let severity = issue["severity"].as_str().unwrap();
        assert!(["critical", "major"].contains(&severity));
    }
}

#[test]
fn folded_text_says_each_verdict_once() {
    let audit = audit();
    let text = audit.written(write_folded);
    let newest = audit.outcome.objects()[0].id().to_string();
    let first = text.lines().next().unwrap();
    let head = format!("accepted   {} to ", &newest[..10]);
    assert!(first.starts_with(&head), "{text}");
    assert!(first.contains(", 4 objects"), "{text}");
    let verdicts = |word: &str| text.lines().filter(|line| line.starts_with(word)).count();
    // Agents around the unsigned one, the stranger's and the person's.
    assert_eq!(verdicts("accepted"), 5, "{text}");
    assert_eq!(verdicts("rejected"), 2);
    assert!(text.ends_with("13 objects: 10 accepted, 2 rejected, 1 undecided\n"));
}

#[test]
fn a_commit_that_changed_nothing_has_no_place() {
    let git = Git::new();
    let id = git.write_commit_object(&CommitSpec::new(&git.empty_tree()).payload());
    let trust = crate::world::trust();
    let policy = Policy::from_trust(&trust);
    let repository = Repository::discover(&git.path()).unwrap();
    let judge = Judge::new(&policy, &trust, NOW);
    let selection = repository.select(&id).unwrap();
    let outcome = verify_range(&repository, &selection, &judge).unwrap();
    let audit = Audit {
        outcome: outcome.with_places(&repository),
        git,
    };
    assert!(audit.written(write_github).starts_with("::error title="));
    assert!(audit.written(write_gitlab).contains("\"path\":\".\""));
    assert!(
        audit
            .written(write_sarif)
            .contains(r#""uri":".notme/policy.toml""#)
    );
}

/// GitHub refuses what has more.
#[test]
fn no_more_results_are_written_than_code_scanning_takes() {
    let git = Git::new();
    let who = "committer a <a@example.invalid> 1700000000 +0000\ndata 0\n";
    let commit = format!("commit refs/heads/many\n{who}\n");
    git.import(&commit.repeat(25_002));
    let trust = crate::world::trust();
    let policy = Policy::from_trust(&trust);
    let repository = Repository::discover(&git.path()).unwrap();
    let judge = Judge::new(&policy, &trust, NOW);
    let selection = repository.select_all().unwrap();
    let outcome = verify_range(&repository, &selection, &judge).unwrap();
    let audit = Audit { outcome, git };
    let report: Value = serde_json::from_str(&audit.written(write_sarif)).unwrap();
    let run = &report["runs"][0];
    assert_eq!(run["results"].as_array().unwrap().len(), 25_000);
    let told = &run["invocations"][0]["toolExecutionNotifications"];
    let told = told.as_array().unwrap().last().unwrap();
    assert_eq!(told["descriptor"]["id"], "findings-cut");
    let text = told["message"]["text"].as_str().unwrap();
    assert!(text.starts_with("2 more findings"), "{text}");
}

#[test]
fn whoever_stops_it_gets_what_was_judged_and_no_yes() {
    let audit = audit();
    let trust = crate::world::trust();
    let policy = Policy::from_trust(&trust);
    let repository = Repository::discover(&audit.git.path()).unwrap();
    let judge = Judge::new(&policy, &trust, NOW);
    judge.stopper().stop();
    let selection = repository.select_all().unwrap();
    let outcome = verify_range(&repository, &selection, &judge).unwrap();
    assert!(outcome.is_interrupted());
    assert_eq!((outcome.objects().len(), outcome.exit_code()), (0, 3));
    let audit = Audit { outcome, ..audit };
    for write in [
        write_folded,
        write_markdown,
        write_github,
        write_gitlab,
        write_junit,
        write_html,
    ] {
        assert!(audit.written(write).contains("interrupted: "));
    }
    for write in [write_json, write_sarif] {
        assert!(audit.written(write).contains("interrupted"));
    }
    let sarif: Value = serde_json::from_str(&audit.written(write_sarif)).unwrap();
    let invocation = &sarif["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
}

#[test]
fn what_git_would_have_followed_is_told_in_every_document() {
    let mut audit = audit();
    let tip = audit.git.git_ok(&["rev-parse", "HEAD"]);
    audit.git.git_ok(&["replace", &tip, "HEAD~1"]);
    let grafts = audit.git.path().join(".git/info/grafts");
    fs::write(grafts, format!("{tip}\n")).unwrap();
    let trust = crate::world::trust();
    let policy = Policy::from_trust(&trust);
    let repository = Repository::discover(&audit.git.path()).unwrap();
    let judge = Judge::new(&policy, &trust, NOW);
    let selection = repository.select_all().unwrap();
    audit.outcome = verify_range(&repository, &selection, &judge).unwrap();
    let json: Value = serde_json::from_str(&audit.written(write_json)).unwrap();
    let ignored = serde_json::json!(["replace-refs", "grafts"]);
    assert_eq!(json["ignored"], ignored);
    let sarif: Value = serde_json::from_str(&audit.written(write_sarif)).unwrap();
    assert_eq!(sarif["runs"][0]["properties"]["ignored"], ignored);
    for write in [
        write_html,
        write_markdown,
        write_junit,
        write_github,
        write_gitlab,
    ] {
        let report = audit.written(write);
        assert!(report.contains("replace refs are ignored"), "{report}");
        assert!(report.contains("grafts are ignored"), "{report}");
    }
}

/// A shallow clone of three commits, of which an exception accepts one and the baseline another.
#[test]
fn what_is_not_judged_or_excused_is_told_in_every_document_of_ci() {
    let audit = audit();
    let git = Git::new();
    let ids = ["a", "b", "c"].map(|name| git.commit(name, name));
    fs::write(git.path().join(".git/shallow"), format!("{}\n", ids[1])).unwrap();
    let text = format!(
        "baseline = [\"{}\"]\n[[exception]]\nobject = \"{}\"\nreason = \"by hand\"\nuntil = \"2099-01-01T00:00:00Z\"\n",
        ids[1], ids[2]
    );
    let (trust, policy) = (crate::world::trust(), Policy::parse(&text).unwrap());
    let repository = Repository::discover(&git.path()).unwrap();
    let judge = Judge::new(&policy, &trust, NOW);
    let selection = repository.select_all().unwrap();
    let outcome = verify_range(&repository, &selection, &judge).unwrap();
    assert_eq!(outcome.exit_code(), 0);
    let outcome = outcome.with_places(&repository);
    let audit = Audit { outcome, ..audit };
    let shallow = format!("history before {} is not in this shallow clone", ids[1]);
    let [junit, github, gitlab, sarif] =
        [write_junit, write_github, write_gitlab, write_sarif].map(|write| audit.written(write));
    for report in [&junit, &github, &gitlab, &sarif] {
        for told in [
            &*shallow,
            "1 object accepted by exception",
            "1 object accepted at or before",
        ] {
            assert!(report.contains(told), "{told}: {report}");
        }
        assert!(report.contains("by hand"), "{report}");
    }
    assert!(
        audit
            .written(write_markdown)
            .contains("1 object accepted by exception")
    );
    assert_eq!(junit.matches("<system-out>").count(), 3, "{junit}");
    let arguments = ["--noout", "--nonet", "--schema"];
    let schema = testdata::path("schemas/junit-10.xsd");
    let arguments = [&arguments[..], &[schema.to_str().unwrap()]].concat();
    let output = audit.asked("xmllint", &arguments, "report.xml", &junit);
    assert!(output.status.success(), "{}", told(&output));
    assert!(
        github.starts_with("::notice file=c,line=1,title=notme%3A unsigned::commit "),
        "{github}"
    );
    assert_eq!(github.lines().count(), 2);
    let gitlab: Value = serde_json::from_str(&gitlab).unwrap();
    let named = |name: &str| {
        let mut issues = gitlab.as_array().unwrap().iter();
        issues.find(|it| it["check_name"] == name).unwrap().clone()
    };
    assert_eq!(named("notme/unsigned")["location"]["path"], "c");
    for name in [
        "notme/unsigned",
        "notme/shallow",
        "notme/excepted",
        "notme/baseline",
    ] {
        assert_eq!(named(name)["severity"], "info");
    }
    let file = audit.git.home().join("report.sarif");
    fs::write(&file, &sarif).unwrap();
    let mut command = audit.git.command(oracle("jsonschema"));
    let schema = testdata::path("schemas/sarif-2.1.0.json");
    let output = run(command.arg("-i").arg(&file).arg(schema), b"");
    assert!(output.status.success(), "{}", told(&output));
    let sarif: Value = serde_json::from_str(&sarif).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 1);
    assert_eq!(results[0]["level"], "note");
    let excused = results[0]["suppressions"][0]["justification"]
        .as_str()
        .unwrap();
    assert!(
        excused.contains("by hand") && excused.contains("though unsigned"),
        "{excused}"
    );
}

#[test]
fn every_policy_that_judged_is_named() {
    let history = History::new();
    let (before, after) = (policy(&["alice!"]), policy(&["alice!", "bob"]));
    let root = history.commit(&[], "nobody", &[(POLICY_PATH, &before)]);
    let added = history.commit(&[&root], "alice", &[(POLICY_PATH, &after)]);
    let tip = history.commit(&[&added], "bob", &[(POLICY_PATH, &after), ("a", "a")]);
    let outcome = history.verify(&root, &tip);
    let digests: Vec<_> = outcome.policies().map(str::to_owned).collect();
    assert_eq!(digests.len(), 2);
    let (mut html, mut markdown, mut json) = (Vec::new(), Vec::new(), Vec::new());
    write_html(&outcome, &mut html).unwrap();
    write_markdown(&outcome, &mut markdown).unwrap();
    write_json(&outcome, &mut json).unwrap();
    let [html, markdown, json] = [html, markdown, json].map(|it| String::from_utf8(it).unwrap());
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["policies"], serde_json::json!(digests));
    for digest in &digests {
        let hex = digest.strip_prefix("sha256:").unwrap();
        assert!(html.contains(&format!("<tr id=\"p-{hex}\">")), "{html}");
        assert!(html.contains(&format!("<a href=\"#p-{hex}\">")), "{html}");
        assert!(
            markdown.contains(&format!("| ` {digest} ` |")),
            "{markdown}"
        );
    }
}

mod page {
    //! The HTML report.

    use std::collections::BTreeSet;

    use super::*;

    /// Returns the values of an attribute, wherever it stands.
    fn values<'a>(page: &'a str, attribute: &str) -> Vec<&'a str> {
        let start = format!(" {attribute}=\"");
        let pieces = page.split(&start).skip(1);
        pieces
            .map(|piece| piece.split('"').next().unwrap())
            .collect()
    }

    fn tags<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
        let start = format!("<{name}");
        let pieces = page.split(&start).skip(1);
        let pieces = pieces.filter(|it| it.starts_with([' ', '>']));
        pieces
            .map(|piece| piece.split('>').next().unwrap())
            .collect()
    }

    /// Opens the page in a browser, as a person would, and returns what became of it.
    fn browsed(audit: &Audit, page: &str, fragment: &str, arguments: &[&str]) -> Output {
        let file = audit.git.home().join("report.html");
        fs::write(&file, page).unwrap();
        let profile = audit.git.home().join("profile");
        let mut command = audit.git.command(oracle("chromium"));
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu"])
            .args(["--enable-logging=stderr", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .args(arguments)
            .arg(format!("file://{}{fragment}", file.display()));
        let output = run(&mut command, b"");
        assert!(output.status.success(), "{}", told(&output));
        assert!(!told(&output).contains("Refused to"), "{}", told(&output));
        output
    }

    #[test]
    fn a_browser_shows_what_was_judged_and_nothing_else() {
        let audit = audit();
        let page = audit.written(write_html);
        let output = browsed(&audit, &page, "", &["--dump-dom"]);
        let dom = String::from_utf8(output.stdout).unwrap();
        let rows = dom.split("id=\"o-").skip(1);
        assert_eq!(rows.count(), COMMITS + 1);
        let start = format!("id=\"o-{}\"", id_of(&audit, "signer-untrusted"));
        let row = dom.split(&start);
        let row = row.last().unwrap().split("</tr>").next().unwrap();
        assert!(
            row.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
            "{row}"
        );
        assert_eq!(tags(&dom, "script").len(), 1, "our own");
        assert_eq!(tags(&dom, "img").len(), 0);
        // Our script ran: what it alone can do is offered.
        let tools = dom.split("id=\"searching\"").nth(1).unwrap();
        assert!(!tools.starts_with(" hidden"), "{tools}");
    }

    #[test]
    fn the_search_leaves_what_was_asked_for() {
        let audit = audit();
        let page = audit.written(write_html);
        let output = browsed(&audit, &page, "#search=bob", &["--dump-dom"]);
        let dom = String::from_utf8(output.stdout).unwrap();
        let objects = dom.split("id=\"objects\"").nth(1).unwrap();
        let rows = objects.split("</table>").next().unwrap();
        let rows: Vec<_> = tags(rows, "tr").into_iter().skip(1).collect();
        let hidden = rows.iter().filter(|row| row.contains("hidden")).count();
        assert_eq!((rows.len(), hidden), (COMMITS + 1, COMMITS));
        assert!(dom.contains(&format!(">1 of {}</output>", COMMITS + 1)));
    }

    #[test]
    fn it_prints_on_paper() {
        let audit = audit();
        let page = audit.written(write_html);
        let pdf = audit.git.home().join("report.pdf");
        let print = format!("--print-to-pdf={}", pdf.display());
        browsed(&audit, &page, "", &["--no-pdf-header-footer", &print]);
        assert!(fs::read(pdf).unwrap().starts_with(b"%PDF-"));
    }

    #[test]
    fn it_is_well_formed_and_loads_nothing() {
        let audit = audit();
        let page = audit.written(write_html);
        let arguments = ["-errors", "-quiet", "--show-info", "no"];
        let output = audit.asked("tidy", &arguments, "report.html", &page);
        assert!(output.status.success(), "{}", told(&output));
        for attribute in ["src", "srcset", "action", "style", "onclick"] {
            assert!(values(&page, attribute).is_empty(), "{attribute}");
        }
        assert!(values(&page, "href").iter().all(|it| it.starts_with('#')));
        let policy = values(&page, "content")[0];
        assert!(policy.starts_with("default-src 'none'; "), "{policy}");
        assert!(!policy.contains("unsafe"));
    }

    #[test]
    fn every_claim_leads_to_its_evidence() {
        let audit = audit();
        let page = audit.written(write_html);
        let ids = values(&page, "id");
        let known: BTreeSet<_> = ids.iter().copied().collect();
        assert_eq!(known.len(), ids.len(), "each id once");
        for attribute in ["href", "for", "aria-labelledby"] {
            for value in values(&page, attribute) {
                let id = value.trim_start_matches('#');
                assert!(known.contains(id), "{attribute}: {value}");
            }
        }
        for object in audit.outcome.objects() {
            assert!(known.contains(&*format!("o-{}", object.id())));
            if let Some(kid) = object.judgement().kid() {
                assert!(known.contains(&*format!("k-{kid}")));
                assert!(values(&page, "href").contains(&&*format!("#k-{kid}")));
            }
        }
    }

    #[test]
    fn those_who_do_not_see_it_can_read_it() {
        let page = audit().written(write_html);
        assert!(page.contains("<html lang=\"en\">"));
        assert!(page.contains("<title>notme verify: --all</title>"));
        let levels: Vec<u32> = page
            .split("<h")
            .skip(1)
            .filter_map(|it| it.chars().next()?.to_digit(10))
            .collect();
        assert_eq!(levels[0], 1);
        assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1);
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1));
        assert!(tags(&page, "th").iter().all(|it| it.contains("scope=")));
        assert_eq!(tags(&page, "table").len(), tags(&page, "caption").len());
        let labelled = values(&page, "for");
        for input in tags(&page, "input") {
            let id = values(input, "id")[0];
            assert!(labelled.contains(&id), "{input}");
        }
        for drawing in tags(&page, "svg") {
            let is_told = drawing.contains("aria-labelledby") || drawing.contains("aria-hidden");
            assert!(is_told, "{drawing}");
        }
    }

    /// WCAG 2.1, 1.4.3 for text and 1.4.11 for what is drawn, in each of the three palettes.
    #[test]
    fn everything_stands_out_from_its_ground() {
        let page = audit().written(write_html);
        let palettes: Vec<_> = page.split("--paper:").skip(1).collect();
        assert_eq!(palettes.len(), 3, "light, dark and print");
        for palette in palettes {
            let palette = format!("--paper:{}", palette.split('}').next().unwrap());
            let colour = |name: &str| luminance(&palette, name);
            let contrast = |one: f64, other: f64| (one.max(other) + 0.05) / (one.min(other) + 0.05);
            for ground in ["paper", "tint"] {
                for text in ["ink", "soft", "link", "ok", "bad", "doubt"] {
                    let ratio = contrast(colour(text), colour(ground));
                    assert!(ratio >= 4.5, "{text} on {ground}: {ratio}");
                }
            }
            for drawn in ["agent", "person", "bot", "unknown", "nobody"] {
                let ratio = contrast(colour(drawn), colour("paper"));
                assert!(ratio >= 3.0, "{drawn}: {ratio}");
            }
        }
    }

    fn luminance(palette: &str, name: &str) -> f64 {
        let digits = palette.split(&format!("--{name}:#")).nth(1).unwrap();
        let digits: String = digits.chars().take_while(char::is_ascii_hexdigit).collect();
        let digits = match digits.len() {
            3 => digits.chars().flat_map(|c| [c, c]).collect(),
            _ => digits,
        };
        let channel = |at: usize| {
            let value = u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            let value = f64::from(value) / 255.0;
            match value <= 0.040_45 {
                true => value / 12.92,
                false => ((value + 0.055) / 1.055).powf(2.4),
            }
        };
        0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
    }
}
