import TestSupport

/// Lines without a secret, which must come out byte for byte.
enum HarmlessText {
    static let lines = [
        "api-0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11", "npm-cache-key-d41d8cd98f00b204e9800998ecf8427e",
        "sdk-release-2024-11-05-linux-x86_64-static-build", "test_da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "re_ipv4_address_with_port_number", "fw_configurationManagerV2Factory",
        "0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11", "job 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11 completed after 1.2 s",
        "1764527511000-0", "entry 1764527511000-0 was acknowledged",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "commit 43c8109727b3029ae7bdc15b9f9cd025410f381b",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "password = getpass()", "password = getpass.getpass(\"Password: \")", "if token == nil { return }",
        "if (token === undefined) return;", "guard let token = request.token else { return nil }",
        "let password = readLine()", "const token = await getToken();", "token = os.environ[\"TOKEN\"]",
        "password=password", "password=self.password", "func login(user: String, password: String) -> Bool",
        "def login(user: str, password: str) -> bool:", "login(user: user, password: password)",
        "connect(host=host, password=pw)", "interface A { password: string; token?: string }", "token: <token>",
        "export TOKEN=${TOKEN}", "export TOKEN=$TOKEN", "TOKEN=\"$(cat /run/token)\"", "password: ***",
        "password: ********",
        "api_key: <your api key>", "API_KEY=your-api-key-here", "api_key = \"YOUR_API_KEY\"",
        "Authorization: Bearer <token>",
        "Authorization: Bearer $TOKEN", "Authorization: Bearer ${TOKEN}", "Cookie: <cookie>",
        "{\"password\":null,\"token\":null}", "{\"password\":\"\"}", "{\"password\":\"***\"}", "{\"max_tokens\":4096}",
        "{\"input_tokens\":1234,\"output_tokens\":567}", "tokens: 1024", "\"usage\":{\"total_tokens\":99}",
        "The password must have at least 12 characters.", "Enter your password: ", "Password:",
        "Invalid token: expired",
        "error: token expired at 2026-01-01T00:00:00Z", "the secret is out", "secretary", "Use --password to give one.",
        "usage: login [--password PASSWORD] [--token TOKEN]", "--password-file /run/secrets/password",
        "--token-file FILE",
        "PWD=/home/user", "OLDPWD=/tmp", "cd $PWD", "keyboard: us", "monkey: 5", "primary_key: id",
        "cache_key=users:42",
        "idempotency_key: 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11", "key.id=5j3k2m",
        "public_key: ssh-ed25519 AAAAC3NzaC1lZDI1",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQC7 user@host", "fingerprint SHA256:uNiVztksCsDhcc0u9e8BgrJXVGDKzYx",
        "-----BEGIN CERTIFICATE-----", "MIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJ",
        "-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----", "https://example.com/a/b?page=2&sort=name",
        "https://user@example.com/", "https://example.com:8443/path", "redis://127.0.0.1:6379",
        "git@github.com:apple/swift.git",
        "AUTH failed", "WRONGPASS invalid username-password pair or user is disabled.",
        "NOAUTH Authentication required.",
        "Basic authentication is off", "Bearer realm=\"orchestra\"",
        "WWW-Authenticate: Bearer realm=\"x\", error=\"invalid_token\"",
        "mkdir -p a/b/c", "ssh -p 2222 host", "docker run -p 8080:80 image", "mysql -u root -p",
        "curl -u user https://e.x/",
        "npm_config_cache=/tmp/npm", "pip install pypi-simple", "sk-learn is a library", "task-force and risk-averse",
        "the hf_hub library", "ghp_ is a prefix", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "AKIA is a prefix",
        "SG.x", "eyJ is how a token begins", "\u{1b}[32m✓\u{1b}[0m 12 tests passed", "[=====>    ] 45 %",
        "  File \"auth.py\", line 12, in check_password", "class PasswordResetTokenGenerator:",
        "from secrets import token_hex",
        "token_type: bearer", "token_count=5", "password_hash_algorithm: argon2id",
        "password_reset_url: https://e.x/reset",
        "secretKeyRef:", "  name: db-credentials", "imagePullSecrets:", "- name: registry", "pass 12 of 20",
        "passed: 14",
        "compass: north", "bypass=true", "session: 0197f3a2-7c1e-7b52-9d0a-5a1f6f0c2b11", "cookies: enabled",
        "author: somebody", "authority=example.com", "authenticated: true", "Cookie policy: none", "é ü 漢字 🙂",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        "token: ${{ secrets.GITHUB_TOKEN }}", "password: \"{{ vault_password }}\"", "password = var.db_password",
        "password: !vault |", "std::string password = get_password();", "$password = $_POST['password'];",
        "case password", "enum Kind { case token, secret }", "password?.isEmpty", "token.isEmpty ? nil : token",
        "SELECT password FROM users WHERE id = 1", "ALTER TABLE users ADD COLUMN password VARCHAR(255)",
        "grep -rn password Sources", "let key = Self.key(of: value)", "for (key, value) in pairs", "key: value",
        "api_key_id: AB12CD", "secret_name = \"orchestra/db\"", "credential: api key",
        "credentials = Credentials(name: name)",
        "[redacted:github-token]", "password=[redacted:password]", "{\"token\":\"[redacted:token]\"}",
    ]

    /// Identifiers of many kinds among words.
    static func made(seed: UInt64, count: Int) -> [String] {
        var random = SeededRandom(seed: seed)
        func hex(_ count: Int) -> String {
            String((0..<count).map { _ in "0123456789abcdef".randomElement(using: &random) ?? "0" })
        }
        let words = [
            "job", "token", "the", "password", "of", "node", "is", "key", "secret", "agent", "for", "a", "request",
            "was",
            "session", "author", "bearer", "basic", "auth", "api", "not", "found", "accepted", "pass",
        ]
        return (0..<count).map { number in
            var parts = (0..<8).map { _ in words.randomElement(using: &random) ?? "" }
            let part: String
            switch number % 6 {
            case 0: part = "\(hex(8))-\(hex(4))-7\(hex(3))-9\(hex(3))-\(hex(12))"
            case 1: part = "sha256:\(hex(64))"
            case 2: part = hex(40)
            case 3: part = "17645\(UInt32.random(in: 10_000_000...99_999_999, using: &random))-\(number % 9)"
            case 4: part = "00-\(hex(32))-\(hex(16))-01"
            default: part = "\(hex(7))..\(hex(7))"
            }
            parts.insert(part, at: Int.random(in: 0...8, using: &random))
            return parts.joined(separator: " ")
        }
    }
}
