//! Connections to a server: a few, each used by one at a time, made anew when one fails.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::lookup_host,
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};
use tokio_postgres::{
    Client, Config, NoTls, Statement,
    config::Host,
    error::SqlState,
    types::{ToSql, Type},
};

use super::{slow, tls::Tls, url::Secured};
use crate::store::database::{DatabaseError, Row, Trouble, Value};

/// The connections of one store.
pub(super) struct Connections {
    to: Secured,
    idle: Mutex<Vec<Connection>>,
    places: Semaphore,
    /// Which server let us in last: the next connection is to it as well, if it can be.
    last: AtomicUsize,
}

impl Connections {
    pub(super) fn new(to: Secured) -> Self {
        Self {
            to,
            idle: Mutex::default(),
            places: Semaphore::new(CONNECTIONS),
            last: AtomicUsize::new(0),
        }
    }

    /// Takes an idle connection, or makes one.
    pub(super) async fn take(&self, until: Instant) -> Result<Lease<'_>, DatabaseError> {
        let place = timeout_at(until, self.places.acquire()).await;
        let place = place
            .map_err(slow)?
            .map_err(|error| DatabaseError::new(Trouble::Lasting, error))?;
        let connection = match self.idle() {
            Some(connection) => connection,
            None => self.open(until).await?,
        };
        Ok(Lease {
            connection,
            of: self,
            _place: place,
        })
    }

    /// Asks one server after the other to let us in.
    async fn open(&self, until: Instant) -> Result<Connection, DatabaseError> {
        let servers: Vec<_> = self.to.servers.iter().enumerate().collect();
        let last = self.last.load(Ordering::Relaxed);
        let beginning_there = servers.iter().cycle().skip(last);
        let servers: Vec<_> = beginning_there.take(servers.len()).copied().collect();
        one_of(&servers, until, async |(at, server), until| {
            let places = server.places(&self.to.config).await?;
            let connection = one_of(&places, until, async |place, _| {
                Connection::open(place, self.to.tls.as_ref()).await
            });
            let connection = connection.await?;
            self.last.store(*at, Ordering::Relaxed);
            Ok(connection)
        })
        .await
    }

    /// Returns one that the server did not close meanwhile.
    fn idle(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.client.is_closed());
        idle.pop()
    }
}

/// A server of those that a URL names.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) host: Host,
    /// Where it is, when the name is not to be looked up.
    pub(super) address: Option<IpAddr>,
    pub(super) port: u16,
}

impl Server {
    /// Returns how it is reached: its name can have several addresses.
    async fn places(&self, config: &Config) -> Result<Vec<Config>, DatabaseError> {
        let mut config = config.clone();
        config.port(self.port);
        let name = match (&self.host, self.address) {
            (Host::Unix(path), _) => {
                config.host_path(path);
                return Ok(vec![config]);
            }
            (Host::Tcp(name), Some(address)) => {
                config.host(name).hostaddr(address);
                return Ok(vec![config]);
            }
            (Host::Tcp(name), None) => name,
        };
        config.host(name);
        let addresses = lookup_host((name.as_str(), self.port)).await;
        let addresses = addresses.map_err(|error| DatabaseError::new(Trouble::Passing, error))?;
        let places = addresses.map(|address| {
            let mut config = config.clone();
            config.hostaddr(address.ip());
            config
        });
        Ok(places.collect())
    }
}

/// Tries one place after the other, each for its share of the time that is left: one that is
/// silent leaves the others theirs.
async fn one_of<P, T>(
    places: &[P],
    until: Instant,
    reach: impl AsyncFn(&P, Instant) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    let nowhere = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let mut refused = DatabaseError::new(Trouble::Passing, nowhere);
    let shares = (1..=u32::try_from(places.len()).unwrap_or(u32::MAX)).rev();
    for (place, left) in places.iter().zip(shares) {
        let now = Instant::now();
        let share = now + until.saturating_duration_since(now) / left;
        match timeout_at(share, reach(place, share)).await {
            Ok(Ok(reached)) => return Ok(reached),
            Ok(Err(error)) => refused = error,
            Err(elapsed) => refused = slow(elapsed),
        }
    }
    Err(refused)
}

/// A connection that somebody uses. It is closed, and what it did is rolled back, unless it is
/// given back.
pub(super) struct Lease<'a> {
    pub(super) connection: Connection,
    of: &'a Connections,
    _place: SemaphorePermit<'a>,
}

impl Lease<'_> {
    /// Lets others use it: no transaction is open.
    pub(super) fn give_back(self) {
        let idle = &self.of.idle;
        let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(self.connection);
    }
}

/// A connection, and what was prepared on it.
pub(super) struct Connection {
    client: Client,
    statements: HashMap<String, Statement>,
}

impl Connection {
    async fn open(place: &Config, tls: Option<&Tls>) -> Result<Self, DatabaseError> {
        let client = match tls {
            Some(tls) => {
                let (client, connection) = place.connect(tls.clone()).await?;
                // How it ends is told to whoever waits for an answer.
                tokio::spawn(connection);
                client
            }
            None => {
                let (client, connection) = place.connect(NoTls).await?;
                tokio::spawn(connection);
                client
            }
        };
        client.batch_execute(SESSION).await?;
        Ok(Self {
            client,
            statements: HashMap::new(),
        })
    }

    pub(super) async fn batch(&mut self, sql: &str) -> Result<(), DatabaseError> {
        Ok(self.client.batch_execute(sql).await?)
    }

    pub(super) async fn execute(
        &mut self,
        sql: &str,
        values: &[Value],
    ) -> Result<u64, DatabaseError> {
        let statement = self.prepared(sql).await?;
        let parameters = parameters(&statement, values);
        let changed = self.client.execute_raw(&statement, parameters).await?;
        Ok(changed)
    }

    pub(super) async fn query(
        &mut self,
        sql: &str,
        values: &[Value],
    ) -> Result<Vec<Row>, DatabaseError> {
        let statement = self.prepared(sql).await?;
        let parameters = parameters(&statement, values);
        let parameters: Vec<_> = parameters.iter().map(AsRef::as_ref).collect();
        let rows = self.client.query(&statement, &parameters).await?;
        rows.iter().map(read_row).collect()
    }

    /// Reads the next rows of a cursor. What it was prepared for is another at each.
    pub(super) async fn fetch(&mut self, cursor: &str) -> Result<Vec<Row>, DatabaseError> {
        let fetch = format!("FETCH 1000 FROM {cursor}");
        let rows = self.client.query_typed(&fetch, &[]).await?;
        rows.iter().map(read_row).collect()
    }

    async fn prepared(&mut self, sql: &str) -> Result<Statement, DatabaseError> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

type Parameter<'a> = Box<dyn ToSql + Sync + 'a>;

/// Returns values as the library takes them; one that is absent has a type, too.
fn parameters<'a>(statement: &Statement, values: &'a [Value]) -> Vec<Parameter<'a>> {
    let typed = statement.params().iter().zip(values);
    typed
        .map(|(kind, value)| -> Parameter<'a> {
            match value {
                Value::Null if *kind == Type::BYTEA => Box::new(None::<&[u8]>),
                Value::Null if *kind == Type::TEXT => Box::new(None::<&str>),
                Value::Null => Box::new(None::<i64>),
                Value::Integer(value) => Box::new(*value),
                Value::Text(value) => Box::new(value.as_str()),
                Value::Blob(value) => Box::new(value.as_slice()),
            }
        })
        .collect()
}

fn read_row(row: &tokio_postgres::Row) -> Result<Row, DatabaseError> {
    let values = row.columns().iter().enumerate().map(|(at, column)| {
        let kind = column.type_();
        Ok(if *kind == Type::BYTEA {
            row.try_get::<_, Option<_>>(at)?
                .map_or(Value::Null, Value::Blob)
        } else if *kind == Type::TEXT {
            row.try_get::<_, Option<_>>(at)?
                .map_or(Value::Null, Value::Text)
        } else {
            row.try_get::<_, Option<_>>(at)?
                .map_or(Value::Null, Value::Integer)
        })
    });
    values
        .collect::<Result<_, tokio_postgres::Error>>()
        .map(Row)
        .map_err(DatabaseError::from)
}

impl From<tokio_postgres::Error> for DatabaseError {
    fn from(error: tokio_postgres::Error) -> Self {
        let trouble = match error.code() {
            Some(state) if is_passing(state) => Trouble::Passing,
            Some(_) => Trouble::Lasting,
            // Not said by the server: there was no connection, or there is none any more.
            None => Trouble::Passing,
        };
        Self::new(trouble, error)
    }
}

/// Tells whether the server may do it soon: it starts, ends, fails over, is full or too busy.
fn is_passing(state: &SqlState) -> bool {
    // Connection, rollback, resources, an operator's intervention, the system under it.
    let classes = ["08", "40", "53", "57", "58"];
    classes.iter().any(|class| state.code().starts_with(class))
        || [
            SqlState::READ_ONLY_SQL_TRANSACTION,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ]
        .contains(state)
}

/// Tells whether it failed for want of a lock: somebody else uses what it was to change.
pub(super) fn is_in_use(error: &DatabaseError) -> bool {
    let said = error.source.downcast_ref::<tokio_postgres::Error>();
    said.and_then(tokio_postgres::Error::code) == Some(&SqlState::LOCK_NOT_AVAILABLE)
}

/// One writes, the others read.
const CONNECTIONS: usize = 8;
/// The server gives up before we do, and lets nobody hold the lock for whom we do not answer. What
/// it acknowledges is on its disk, whatever its operator set.
const SESSION: &str = "SET statement_timeout = '8s'; SET lock_timeout = '5s';
     SET idle_in_transaction_session_timeout = '10s';
     SELECT set_config('synchronous_commit', 'on', false)
     WHERE current_setting('synchronous_commit') IN ('off', 'local')";
/// How long an idle connection is silent before it is looked whether the server is there.
pub(super) const KEEPALIVE: Duration = Duration::from_secs(60);
/// And how long until it is looked again, so often: whoever waits without a limit for a server that
/// is gone learns of it within two minutes.
pub(super) const KEEPALIVE_AGAIN: Duration = Duration::from_secs(10);
pub(super) const KEEPALIVES_MAX: u32 = 5;
