"""A real broker with TLS, passwords and access control, for the doctor's tests.

Listeners: `plain` (everybody is a super user), `sasl` (PLAIN and SCRAM-SHA-256), and three with TLS
whose certificates are good, expired, and for another host.
"""

import datetime
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.kit.kafka_broker import Broker, running
from tests.kit.servers import free_ports

_NOW = datetime.datetime.now(datetime.UTC)
_DAY = datetime.timedelta(days=1)
TLS = ("good", "expired", "elsewhere")


class Authority:
    """A certificate authority of one test session; `path` is its own certificate."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder.name)])
        own = self._certificate(self._name, self._key, _NOW + 9 * _DAY, ca=True)
        self.path = folder / "ca.pem"
        self.path.write_bytes(own.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str) -> Path:
        """Key and certificate in one PEM file, as a Java broker reads it."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker")])
        until = _NOW - _DAY if name == "expired" else _NOW + 9 * _DAY
        host: Any = x509.IPAddress(ip_address("127.0.0.1"))
        if name == "elsewhere":
            host = x509.DNSName("elsewhere.example")
        certificate = self._certificate(subject, key, until, host=host)
        form = serialization.PrivateFormat.PKCS8
        plain = serialization.NoEncryption()
        path = self._folder / f"{name}.pem"
        path.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, form, plain)
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return path

    def _certificate(
        self,
        subject: x509.Name,
        key: Any,
        until: datetime.datetime,
        ca: bool = False,
        host: Any = None,
    ) -> x509.Certificate:
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_NOW - 5 * _DAY)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if host is not None:
            made = made.add_extension(x509.SubjectAlternativeName([host]), critical=False)
        return made.sign(self._key, hashes.SHA256())


class SecureBroker(Broker):
    """See the module; `at[name]`: the address of a listener. The password of all `users` is `right`."""

    def __init__(self, folder: Path, users: Sequence[str] = ("alice", "bob")) -> None:
        super().__init__(folder)
        self.authority = Authority(folder)
        names = ("sasl", *TLS)
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        self.at["plain"] = self.address
        lines = dict(
            line.split("=", 1) for line in self._settings.read_text().splitlines() if "=" in line
        )
        more = ",".join(f"{name.upper()}://{self.at[name]}" for name in names)
        for setting in ("listeners", "advertised.listeners"):
            lines[setting] += f",{more}"
        protocols = ",".join(f"{name.upper()}:SSL" for name in TLS)
        lines["listener.security.protocol.map"] += f",SASL:SASL_PLAINTEXT,{protocols}"
        passwords = " ".join(f'user_{user}="right"' for user in users)
        lines |= {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
            "listener.name.sasl.plain.sasl.jaas.config": (
                f"org.apache.kafka.common.security.plain.PlainLoginModule required {passwords};"
            ),
            "listener.name.sasl.scram-sha-256.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
        }
        for name in TLS:
            lines[f"listener.name.{name}.ssl.keystore.type"] = "PEM"
            lines[f"listener.name.{name}.ssl.keystore.location"] = str(self.authority.issue(name))
        self._settings.write_text("\n".join(f"{name}={value}" for name, value in lines.items()))


@pytest.fixture(scope="session")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    """One for the session; skipped, loudly, without Java."""
    with running(lambda: SecureBroker(tmp_path_factory.mktemp("secure"))) as broker:
        yield broker
