/// A program whose short flag has a secret: `mysql -pX`, `sshpass -p X`, `curl -u user:X`.
struct CommandSecret: Sendable {
    /// How the secret follows the flag.
    enum Form: Sendable {
        /// At once: a value after a space is something else.
        case attached
        /// After a space, or at once.
        case either
        /// After the first colon of the value.
        case afterColon
    }

    let name: [UInt8]
    let flag: [UInt8]
    let form: Form

    init(_ name: String, _ flag: String, _ form: Form) {
        self.name = Array(name.utf8)
        self.flag = Array(flag.utf8)
        self.form = form
    }

    static let all = [
        CommandSecret("mysql ", "-p", .attached), CommandSecret("mysqldump ", "-p", .attached),
        CommandSecret("mysqladmin ", "-p", .attached), CommandSecret("mariadb ", "-p", .attached),
        CommandSecret("sshpass ", "-p", .either), CommandSecret("redis-cli ", "-a", .either),
        CommandSecret("mongo ", "-p", .either), CommandSecret("mongosh ", "-p", .either),
        CommandSecret("mongodump ", "-p", .either), CommandSecret("docker login ", "-p", .either),
        CommandSecret("podman login ", "-p", .either), CommandSecret("registry login ", "-p", .either),
        CommandSecret("oc login ", "-p", .either), CommandSecret("az login ", "-p", .either),
        CommandSecret("ldapsearch ", "-w", .either), CommandSecret("unzip ", "-P", .either),
        CommandSecret("zip ", "-P", .either), CommandSecret("7z ", "-p", .attached),
        CommandSecret("curl ", "-u", .afterColon), CommandSecret("curl ", "--user", .afterColon),
        CommandSecret("curl ", "--proxy-user", .afterColon), CommandSecret("wget ", "--user", .afterColon),
        CommandSecret("openssl ", "pass:", .attached), CommandSecret("rabbitmqadmin ", "-p", .either),
        CommandSecret("psql ", "-W", .attached), CommandSecret("http ", "-a", .afterColon),
    ]
}
