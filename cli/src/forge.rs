//! Forges: where the repository is pushed to, and what each format of signature gives there.

use std::io::{self, Write};

use serde::Serialize;

use crate::{
    arguments::SignatureForm,
    git::{self, GitError},
};

/// A kind of forge, by what it makes of signatures.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Forge {
    GitHub,
    GitLab,
    /// Forgejo too, of which Codeberg is an instance.
    Gitea,
    Bitbucket,
}

/// The hosts whose forge is known without asking them; everybody else's could be anything.
const HOSTS: [(&str, Forge); 7] = [
    ("github.com", Forge::GitHub),
    // GitHub and GitLab for networks that let nothing but HTTPS out.
    ("ssh.github.com", Forge::GitHub),
    ("gitlab.com", Forge::GitLab),
    ("altssh.gitlab.com", Forge::GitLab),
    ("codeberg.org", Forge::Gitea),
    ("gitea.com", Forge::Gitea),
    ("bitbucket.org", Forge::Bitbucket),
];

/// What the three formats give, with a line for each forge.
///
/// The sources are in `docs/forges.md`.
const TABLE: &str = "\
checked by      x509                  ssh                   openpgp
GitHub          no: public CAs only   no: account keys      no: account keys
GitLab          no: wants an e-mail   no: account keys      no: account keys
Gitea, Forgejo  no: not read          no: account keys      no: account keys
Bitbucket       no: wants an e-mail   no: account keys      no: account keys
stock git       with gpgsm, where     with ssh-keygen,      with gpg, and the
                --profile interop     by one CA line        authority's keyring
notme verify    yes                   yes                   yes
";

/// The remote that pushes go to.
#[derive(Debug, Serialize)]
pub(crate) struct Remote {
    /// Absent where the URL stands in the place of a name: it may hold a password.
    name: Option<String>,
    host: Option<String>,
    forge: Option<Forge>,
}

impl Remote {
    /// Finds it as `git push` does: by the branch, by `remote.pushDefault`, `origin`, or the
    /// only one there is.
    ///
    /// # Errors
    /// [`GitError`] when the configuration cannot be read.
    pub(crate) fn find() -> Result<Option<Self>, GitError> {
        let Some(remote) = git::push_remote()? else {
            return Ok(None);
        };
        let (name, url) = match git::push_url(&remote)? {
            Some(url) => (Some(remote), url),
            None => (None, remote),
        };
        let host = gix_url::parse(url.as_bytes())
            .ok()
            .and_then(|url| url.host().map(str::to_ascii_lowercase));
        let forge = host.as_deref().and_then(|host| {
            let known = HOSTS.iter().find(|(known, _)| *known == host);
            known.map(|(_, forge)| *forge)
        });
        Ok(Some(Self { name, host, forge }))
    }

    /// Says where it is, for people.
    pub(crate) fn place(&self) -> String {
        let place = match (self.forge, &self.host) {
            (Some(forge), _) => forge.name().to_owned(),
            (None, Some(host)) => format!("{host}, whose forge is unknown"),
            (None, None) => "another directory".to_owned(),
        };
        match &self.name {
            Some(name) => format!("{place} (remote `{name}`)"),
            None => place,
        }
    }
}

impl Forge {
    const fn name(self) -> &'static str {
        match self {
            Self::GitHub => "GitHub",
            Self::GitLab => "GitLab",
            Self::Gitea => "Gitea or Forgejo",
            Self::Bitbucket => "Bitbucket",
        }
    }
}

/// Returns the format for a repository that is pushed there.
///
/// No forge shows a session's signature as verified, in any format. But every one reads SSH
/// signatures, and whoever clones from it has an ssh-keygen that checks them against the one line
/// of `notme trust export --allowed-signers`. Elsewhere, X.509: what stands behind it is most.
pub(crate) fn format_for(remote: Option<&Remote>) -> SignatureForm {
    match remote.and_then(|remote| remote.forge) {
        Some(_) => SignatureForm::Ssh,
        None => SignatureForm::X509,
    }
}

/// Writes what each format gives on each forge.
///
/// # Errors
/// [`io::Error`] of `out`.
pub(crate) fn write_table(out: &mut impl Write) -> io::Result<()> {
    out.write_all(TABLE.as_bytes())
}
