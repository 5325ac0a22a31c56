//! The fields of the site layer, and what it shares with HTTP: hosts, mounts, redirects, origins, users, networks. That layer reads the texts; here is how lists of them
//! are written.

use super::{Field, list_toml};
use crate::config::setting::Setting;
use crate::http::Networks;
use crate::site::{Mount, Names, Origins, Redirects, Users};

impl Field for Names {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        let names =
            setting.value.list().ok_or("expected a list of host names, such as [\"localhost\", \"127.0.0.1\"]")?;
        let is_for_all = names.is_empty();
        *self = names.into_iter().map(Self::parse).collect::<Result<_, _>>()?;
        // An empty name is a slip, which must not let everybody in.
        if self.is_empty() && !is_for_all {
            return Err("expected host names, such as localhost".to_owned());
        }
        Ok(())
    }

    fn toml(&self) -> String {
        list_toml(&self.iter().collect::<Vec<_>>())
    }
}

impl Field for Origins {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        let origins = setting.value.list();
        *self =
            Self::parse(origins.ok_or("expected a list of origins, such as [\"https://example.org\"], or [\"*\"]")?)?;
        Ok(())
    }

    fn toml(&self) -> String {
        list_toml(&self.list())
    }
}

impl Field for Vec<Mount> {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        let texts = setting.value.list().ok_or("expected a list of mounts, such as [\"/docs=../docs\"]")?;
        let mut mounts: Self = Vec::new();
        for text in texts {
            let mount = Mount::parse(text, setting.base)?;
            if mounts.iter().any(|other| other.path() == mount.path()) {
                return Err(format!("expected one directory for {}", mount.path()));
            }
            mounts.push(mount);
        }
        *self = mounts;
        Ok(())
    }

    fn toml(&self) -> String {
        list_toml(self)
    }
}

impl Field for Redirects {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        let lines = setting.value.rules().ok_or("expected a list of lines, such as [\"/old/* /new/:splat 301\"]")?;
        let place = |number: usize| setting.place_of(number - 1);
        *self = Self::parse_placed(lines, place).map_err(|mistake| mistake.what)?;
        Ok(())
    }

    fn toml(&self) -> String {
        list_toml(&self.lines().collect::<Vec<_>>())
    }
}

impl Field for Users {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        let lines =
            setting.value.rules().ok_or("expected a list of lines NAME:HASH, as `salver hash-password` makes them")?;
        *self = Self::parse(lines).map_err(|mistake| format!("{mistake} (in line {} of the list)", mistake.line))?;
        Ok(())
    }

    fn toml(&self) -> String {
        list_toml(&self.lines())
    }
}

impl Field for Networks {
    fn assign(&mut self, setting: &Setting<'_>) -> Result<(), String> {
        let networks = setting.value.list();
        let networks =
            networks.ok_or("expected a list of networks, such as [\"127.0.0.1\", \"10.0.0.0/8\", \"unix\"]")?;
        *self = networks.into_iter().map(Self::parse).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn toml(&self) -> String {
        list_toml(&self.iter().collect::<Vec<_>>())
    }
}
