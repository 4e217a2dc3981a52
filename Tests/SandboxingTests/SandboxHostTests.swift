import Testing

@testable import Sandboxing

@Suite("SandboxHost")
struct SandboxHostTests {
    private static let host = SandboxHost(
        launcher: nil, shim: "/s", landlockVersion: 0, configuration: ["/etc/ssl/certs", "/etc/services"])

    @Test(
        "what a sandbox shows is not missing inside, and neither is what lies outside of /etc and /var",
        arguments: ["/etc/services", "/etc/ssl/certs/a.pem", "/usr/bin/x", "relative"])
    func present(path: String) { #expect(!Self.host.isMissingInside(path)) }

    @Test(
        "other files of /etc and /var are missing inside",
        arguments: ["/etc/ssl/private", "/etc/services.d/x", "/var/lib/x", "/etc/ssl/certsx"])
    func missing(path: String) { #expect(Self.host.isMissingInside(path)) }

    @Test("nothing of the host's own secrets is among what every sandbox shows")
    func noSecrets() {
        let host = SandboxHost(
            launcher: nil, shim: "/s", program: { _ in nil }, controlGroups: ControlGroups(hierarchies: []))
        for path in ["/etc/shadow", "/etc/ssl/private", "/etc/ssh", "/etc/sudoers", "/etc/gitconfig"] {
            #expect(host.isMissingInside(path), "\(path)")
        }
    }
}
