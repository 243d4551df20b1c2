use notme_testkit::oracle::oracle;

#[test]
fn finds_an_installed_program() {
    assert!(oracle("git").is_absolute());
}

#[test]
#[should_panic(expected = "`no-such-program` is not in testkit/oracles.txt")]
fn refuses_a_program_that_nobody_would_install() {
    oracle("no-such-program");
}
