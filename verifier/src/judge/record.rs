//! What is written down of an examined object, so that it need not be examined again.
//!
//! Everything is taken apart member by member: what is new in evidence does not compile until it is
//! written down, too.

use std::sync::Arc;

use notme_core::{
    armor::SignatureFormat, key::KeyId, openpgp::Fingerprint, terms::Terms, time::UnixTime,
};

use super::{Examined, Judge, Signed};
use crate::{
    anchor::Anchor,
    cache::{Reader, Writer},
    evidence::{Binding, Claimed, Established, Names, Unproven},
    log_entry::LogEntry,
    openpgp,
    refusal::Refusal,
    repository::ObjectId,
    standing::{Facts, Issuer, Standing, Vouched},
    time_stamp::TimeStamp,
    verdict::Code,
};

/// The kinds of keys, as policies name them, in the order of their numbers here.
const ALGORITHMS: [&str; 7] = [
    "ed25519",
    "p256",
    "p384",
    "p521",
    "rsa",
    "sk-ed25519",
    "sk-p256",
];

impl Examined {
    /// Writes it down; `None` when it is none of what can be.
    pub(crate) fn write(&self, judge: &Judge<'_>, to: &mut Writer<'_>) -> Option<()> {
        match &self.0 {
            Err(unproven) => {
                to.byte(0);
                write_unproven(unproven, to);
            }
            Ok(signed) => {
                to.byte(1);
                write_signed(signed, judge, to)?;
            }
        }
        Some(())
    }

    /// Reads it back for the object that it was written for.
    pub(crate) fn read(judge: &Judge<'_>, id: &ObjectId, from: &mut Reader<'_>) -> Option<Self> {
        let examined = match from.byte()? {
            0 => Err(Box::new(read_unproven(from)?)),
            1 => Ok(read_signed(judge, id, from)?),
            _ => return None,
        };
        from.is_at_end().then_some(Self(examined))
    }
}

fn write_unproven(unproven: &Unproven, to: &mut Writer<'_>) {
    let Unproven {
        refusal,
        format,
        claimed,
    } = unproven;
    write_refusal(to, refusal);
    to.maybe(*format, write_format);
    to.maybe(claimed.as_ref(), write_claimed);
}

fn read_unproven(from: &mut Reader<'_>) -> Option<Unproven> {
    Some(Unproven {
        refusal: read_refusal(from)?,
        format: from.maybe(read_format)?,
        claimed: from.maybe(read_claimed)?,
    })
}

fn write_signed(signed: &Signed, judge: &Judge<'_>, to: &mut Writer<'_>) -> Option<()> {
    let Signed {
        established,
        declared,
        names,
        unauthenticated,
        // The policy says it, and is at hand.
        is_known_good: _,
    } = signed;
    let Established {
        format,
        standing,
        claimed,
        binding,
        signing_time,
        time_stamp,
        log_entry,
        begins,
        ends,
    } = established;
    to.maybe(*format, write_format);
    write_standing(standing, judge, to)?;
    to.maybe(claimed.as_deref(), write_claimed);
    to.byte(match binding {
        Binding::Free => 0,
        Binding::Bound => 1,
        Binding::Elsewhere => 2,
    });
    to.maybe(time_stamp.as_ref(), write_time_stamp);
    to.maybe(log_entry.as_deref(), write_log_entry);
    for time in [signing_time, begins, ends, declared] {
        to.maybe(*time, Writer::time);
    }
    to.maybe(names.as_deref(), |to, Names { email, tag }| {
        to.maybe(email.as_deref(), Writer::text);
        to.maybe(tag.as_deref(), Writer::text);
    });
    to.number(u64::try_from(unauthenticated.len()).unwrap_or(u64::MAX));
    for name in unauthenticated {
        to.text(name);
    }
    Some(())
}

fn read_signed(judge: &Judge<'_>, id: &ObjectId, from: &mut Reader<'_>) -> Option<Signed> {
    let format = from.maybe(read_format)?;
    let standing = Arc::new(read_standing(judge, from)?);
    let claimed = from.maybe(read_claimed)?.map(Box::new);
    let binding = match from.byte()? {
        0 => Binding::Free,
        1 => Binding::Bound,
        2 => Binding::Elsewhere,
        _ => return None,
    };
    let time_stamp = from.maybe(read_time_stamp)?;
    let log_entry = from.maybe(read_log_entry)?.map(Box::new);
    let mut time = || from.maybe(Reader::time);
    let (signing_time, begins, ends, declared) = (time()?, time()?, time()?, time()?);
    let names = from.maybe(|from| {
        Some(Box::new(Names {
            email: from.maybe(read_text)?,
            tag: from.maybe(read_text)?,
        }))
    })?;
    let unauthenticated: Option<_> = (0..from.size()?).map(|_| read_text(from)).collect();
    Some(Signed {
        established: Established {
            format,
            standing,
            claimed,
            binding,
            signing_time,
            time_stamp,
            log_entry,
            begins,
            ends,
        },
        declared,
        names,
        unauthenticated: unauthenticated?,
        is_known_good: judge.policy().is_known_good(id),
    })
}

fn write_standing(standing: &Standing, judge: &Judge<'_>, to: &mut Writer<'_>) -> Option<()> {
    let (facts, vouched, refusal) = standing.parts();
    write_facts(facts, to)?;
    to.byte(u8::from(vouched.is_some()));
    if let Some(vouched) = vouched {
        write_vouched(vouched, judge, to)?;
    }
    to.maybe(refusal, write_refusal);
    let renewed = standing.renewed();
    to.number(u64::try_from(renewed.len()).unwrap_or(u64::MAX));
    for vouched in renewed {
        write_vouched(vouched, judge, to)?;
    }
    Some(())
}

fn read_standing(judge: &Judge<'_>, from: &mut Reader<'_>) -> Option<Standing> {
    let facts = read_facts(from)?;
    let vouched = from.maybe(|from| read_vouched(judge, from))?;
    let refusal = from.maybe(read_refusal)?;
    let renewed: Option<_> = (0..from.size()?)
        .map(|_| read_vouched(judge, from))
        .collect();
    Some(Standing::new(facts, vouched, refusal).with_renewed(renewed?))
}

fn write_facts(facts: &Facts, to: &mut Writer<'_>) -> Option<()> {
    let Facts {
        kid,
        serial,
        not_before,
        not_after,
        issued_at,
        epoch,
        session,
        // It was compared, and the binding says how it came out.
        payload_sha256: _,
        activity,
        terms,
        names,
        is_certified,
        algorithm,
    } = facts;
    let terms = terms
        .as_ref()
        .map(|terms| terms.to_der())
        .transpose()
        .ok()?;
    to.bytes(serial);
    to.time(*not_before);
    to.time(*not_after);
    to.maybe(*issued_at, Writer::time);
    // What certificates for one key share.
    to.common(|to| {
        write_kid(to, kid);
        to.maybe(*epoch, Writer::number);
        to.maybe(session.as_ref(), |to, it| to.raw(it));
        to.maybe(activity.as_deref(), Writer::text);
        to.maybe(terms.as_deref(), Writer::bytes);
        to.maybe(names.as_deref(), |to, it| {
            let openpgp::Names {
                fingerprint,
                primary,
                user_id,
            } = it;
            to.bytes(fingerprint.as_bytes());
            to.bytes(primary.as_bytes());
            to.text(user_id);
        });
        to.byte(u8::from(*is_certified));
        let number = match algorithm {
            None => 0,
            Some(name) => ALGORITHMS.iter().position(|it| it == name)? + 1,
        };
        to.number(u64::try_from(number).ok()?);
        Some(())
    })
}

fn read_facts(from: &mut Reader<'_>) -> Option<Facts> {
    let serial = from.bytes()?;
    let (not_before, not_after) = (from.time()?, from.time()?);
    let issued_at = from.maybe(Reader::time)?;
    from.common(|from| {
        let kid = read_kid(from)?;
        Some(Facts {
            issued_at,
            epoch: from.maybe(Reader::number)?,
            session: from.maybe(Reader::array)?,
            activity: from.maybe(read_text)?,
            terms: from.maybe(|from| Some(Box::new(Terms::from_der(from.bytes()?).ok()?)))?,
            names: from.maybe(|from| {
                Some(Box::new(openpgp::Names {
                    fingerprint: read_fingerprint(from)?,
                    primary: read_fingerprint(from)?,
                    user_id: read_text(from)?,
                }))
            })?,
            is_certified: match from.byte()? {
                0 => false,
                1 => true,
                _ => return None,
            },
            algorithm: match from.size()? {
                0 => None,
                number => Some(*ALGORITHMS.get(number - 1)?),
            },
            ..Facts::new(kid, serial, not_before, not_after)
        })
    })
}

fn write_vouched(vouched: &Vouched, judge: &Judge<'_>, to: &mut Writer<'_>) -> Option<()> {
    let Vouched {
        identity,
        issuer,
        anchor,
        issuers,
        issuers_from,
        issuers_until,
    } = vouched;
    to.time(*issuers_from);
    to.time(*issuers_until);
    to.common(|to| {
        to.maybe(identity.as_deref(), Writer::text);
        to.maybe(issuer.as_deref(), Writer::text);
        to.number(u64::try_from(judge.anchors.position(anchor)?).ok()?);
        // Most often the root is all there is above a leaf.
        let explicit = (*issuers != Issuer::root_of(anchor)).then_some(issuers);
        to.maybe(explicit, |to, issuers| {
            to.number(u64::try_from(issuers.len()).unwrap_or(u64::MAX));
            for Issuer { kid, serial_hex } in issuers.iter() {
                write_kid(to, kid);
                to.maybe(serial_hex.as_deref(), Writer::text);
            }
        });
        Some(())
    })
}

fn read_vouched(judge: &Judge<'_>, from: &mut Reader<'_>) -> Option<Vouched> {
    let (issuers_from, issuers_until) = (from.time()?, from.time()?);
    from.common(|from| {
        let identity = from.maybe(Reader::text)?;
        let issuer = from.maybe(Reader::text)?;
        let anchor: &Arc<Anchor> = judge.anchors.get(from.size()?)?;
        let explicit = from.maybe(|from| {
            let count = from.size()?;
            let issuer = |from: &mut Reader<'_>| {
                Some(Issuer {
                    kid: read_kid(from)?,
                    serial_hex: from.maybe(read_text)?,
                })
            };
            (0..count).map(|_| issuer(from)).collect::<Option<_>>()
        })?;
        Some(Vouched {
            identity: identity.map(|identity| judge.anchors.intern(identity)),
            issuer: issuer.map(|issuer| judge.anchors.intern(issuer)),
            issuers: explicit.unwrap_or_else(|| Issuer::root_of(anchor)),
            anchor: Arc::clone(anchor),
            issuers_from,
            issuers_until,
        })
    })
}

fn write_time_stamp(to: &mut Writer<'_>, time_stamp: &TimeStamp) {
    match time_stamp {
        TimeStamp::Untrusted => to.byte(0),
        TimeStamp::Invalid(detail) => {
            to.byte(1);
            to.text(detail);
        }
        TimeStamp::Trusted { at, latest, kid } => {
            to.byte(2);
            to.time(*at);
            to.time(*latest);
            write_kid(to, kid);
        }
        TimeStamp::Revoked { kid } => {
            to.byte(3);
            write_kid(to, kid);
        }
    }
}

fn read_time_stamp(from: &mut Reader<'_>) -> Option<TimeStamp> {
    Some(match from.byte()? {
        0 => TimeStamp::Untrusted,
        1 => TimeStamp::Invalid(read_text(from)?),
        2 => {
            let (at, latest): (UnixTime, UnixTime) = (from.time()?, from.time()?);
            let kid = read_kid(from)?;
            TimeStamp::Trusted { at, latest, kid }
        }
        3 => TimeStamp::Revoked {
            kid: read_kid(from)?,
        },
        _ => return None,
    })
}

fn write_log_entry(to: &mut Writer<'_>, log_entry: &LogEntry) {
    match log_entry {
        LogEntry::Untrusted => to.byte(0),
        LogEntry::Invalid(detail) => {
            to.byte(1);
            to.text(detail);
        }
        LogEntry::Logged { at, kid } => {
            to.byte(2);
            to.time(*at);
            write_kid(to, kid);
        }
        LogEntry::Undated { kid } => {
            to.byte(3);
            write_kid(to, kid);
        }
    }
}

fn read_log_entry(from: &mut Reader<'_>) -> Option<LogEntry> {
    Some(match from.byte()? {
        0 => LogEntry::Untrusted,
        1 => LogEntry::Invalid(read_text(from)?),
        2 => LogEntry::Logged {
            at: from.time()?,
            kid: read_kid(from)?,
        },
        3 => LogEntry::Undated {
            kid: read_kid(from)?,
        },
        _ => return None,
    })
}

fn write_refusal(to: &mut Writer<'_>, refusal: &Refusal) {
    let Refusal { code, detail } = refusal;
    to.text(code.as_str());
    to.maybe(detail.as_deref(), Writer::text);
}

fn read_refusal(from: &mut Reader<'_>) -> Option<Refusal> {
    Some(Refusal {
        code: Code::named(from.text()?)?,
        detail: from.maybe(read_text)?,
    })
}

fn write_claimed(to: &mut Writer<'_>, claimed: &Claimed) {
    let Claimed { kid, name } = claimed;
    to.maybe(kid.as_ref(), write_kid);
    to.text(name);
}

fn read_claimed(from: &mut Reader<'_>) -> Option<Claimed> {
    Some(Claimed {
        kid: from.maybe(read_kid)?,
        name: read_text(from)?,
    })
}

fn write_format(to: &mut Writer<'_>, format: SignatureFormat) {
    to.byte(match format {
        SignatureFormat::Cms => 0,
        SignatureFormat::Ssh => 1,
        SignatureFormat::OpenPgp => 2,
    });
}

fn read_format(from: &mut Reader<'_>) -> Option<SignatureFormat> {
    Some(match from.byte()? {
        0 => SignatureFormat::Cms,
        1 => SignatureFormat::Ssh,
        2 => SignatureFormat::OpenPgp,
        _ => return None,
    })
}

fn write_kid(to: &mut Writer<'_>, kid: &KeyId) {
    to.raw(kid.as_bytes());
}

fn read_kid(from: &mut Reader<'_>) -> Option<KeyId> {
    from.array().map(KeyId::from_bytes)
}

fn read_fingerprint(from: &mut Reader<'_>) -> Option<Fingerprint> {
    Fingerprint::from_hex(&notme_core::hex::encode(from.bytes()?))
}

fn read_text(from: &mut Reader<'_>) -> Option<Box<str>> {
    Some(from.text()?.into())
}
