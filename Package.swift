// swift-tools-version: 6.3
import PackageDescription

/// One set of flags for every Swift target, tests included; `PackageFlagsTests` proves each is on.
let swiftSettings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("ImmutableWeakCaptures"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioWebSocket = Target.Dependency.product(name: "NIOWebSocket", package: "swift-nio")
let nioHTTPTypes = Target.Dependency.product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let nioHTTPTypesHTTP1 = Target.Dependency.product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let coreMetrics = Target.Dependency.product(name: "CoreMetrics", package: "swift-metrics")
let subprocess = Target.Dependency.product(name: "Subprocess", package: "swift-subprocess")
let systemPackage = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")
let heap = Target.Dependency.product(name: "HeapModule", package: "swift-collections")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")

func module(_ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource] = []) -> Target {
    .target(name: name, dependencies: dependencies, resources: resources, swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
    .testTarget(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: swiftSettings)
}

let package = Package(
    name: "orchestra",
    products: [
        .executable(name: "orchestra", targets: ["orchestra"]),
        .executable(name: "orchestra-shim", targets: ["orchestra-shim"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-collections.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-system.git", from: "1.8.1"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration.git", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-nio-extras.git", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.8.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.1", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess.git", from: "1.0.2", traits: []),
    ],
    targets: [
        // L0: C
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CArgon2", pkgConfig: "libargon2", providers: [.apt(["libargon2-dev"])]),
        .target(name: "CLinux"),

        // L1: no knowledge of jobs
        module("Domain"),
        module("Cryptography", ["COpenSSL", "Domain"]),
        module("TransportSecurity", ["COpenSSL", "Domain", nioCore]),
        module("Egress", ["Domain", "ModelUsage"]),
        module("Redaction", ["Domain", logging]),
        module("Supervision", ["Domain", deque, heap, logging, coreMetrics]),
        module("Redis", ["CHiredis", "Domain", "TransportSecurity", nioCore, nioPosix, logging, coreMetrics]),
        module("ModelUsage", ["Domain"]),
        module("ShimProtocol", ["Domain"]),
        module("Sandboxing", ["CLinux", "Domain", "ModelUsage", "ShimProtocol"]),
        module("Screens", ["Domain"]),
        module("Terminals", ["CLinux", "Domain", subprocess, systemPackage]),

        // L2: one concern each
        // All of the shim but its entry point: tests link it, which they cannot do with a static executable.
        module("Shim", ["CLinux", "Domain", "Screens", "ShimProtocol"]),
        module("Policy", ["Domain", "Egress", "Sandboxing", "Screens"]),
        module(
            "EgressServer",
            ["CLinux", "Domain", "Egress", "ShimProtocol", "TransportSecurity", deque, nioCore, nioPosix, logging]),
        module(
            "Credentials",
            [
                "CArgon2", "CLinux", "Cryptography", "Domain", "Redis", "TransportSecurity", nioCore, nioPosix,
                nioHTTP1, logging, coreMetrics,
            ]),
        module("Budgets", ["Domain", "ModelUsage", "Redis", nioCore]),
        module("ScriptedModel", ["Domain", "ModelUsage", "TransportSecurity", nioCore, nioPosix, nioHTTP1]),
        module("Audit", ["Domain", "Redaction"]),
        module("AuditArchive", ["Cryptography", "Domain"]),
        module(
            "Jobs", ["Domain", "Cryptography", "Redis", nioPosix, logging, coreMetrics],
            resources: [
                .embedInCode("Redis/Functions/common.lua"), .embedInCode("Redis/Functions/ready.lua"),
                .embedInCode("Redis/Functions/submission.lua"), .embedInCode("Redis/Functions/delivery.lua"),
                .embedInCode("Redis/Functions/leases.lua"), .embedInCode("Redis/Functions/completion.lua"),
                .embedInCode("Redis/Functions/intervention.lua"), .embedInCode("Redis/Functions/inspection.lua"),
                .embedInCode("Redis/Functions/maintenance.lua"), .embedInCode("Redis/Functions/comparison.lua"),
                .embedInCode("Redis/Functions/archive.lua"),
            ]),
        module("Workspaces", ["Domain"]),
        module(
            "Agents",
            [
                "CLinux", "Domain", "Sandboxing", "Screens", "ShimProtocol", "Supervision", "Terminals", nioCore,
                nioPosix,
                logging,
                coreMetrics, subprocess, systemPackage,
            ]),

        // L3: the way in, and the windows
        module("Intake", ["Audit", "Cryptography", "Domain", "Jobs", "Policy", "Redaction"]),
        module("Telemetry", ["Domain", "TransportSecurity", nioCore, nioPosix, nioHTTP1, logging, coreMetrics]),

        // L4: the node and its front, which do not know each other
        module(
            "Worker",
            [
                "Agents", "Audit", "AuditArchive", "Cryptography", "Domain", "Intake", "Jobs", "Policy", "Redis",
                "Sandboxing", "ShimProtocol", "Supervision", "Workspaces", nioPosix, logging, coreMetrics,
            ]),
        module(
            "API",
            [
                "Agents", "Audit", "Credentials", "Cryptography", "Domain", "Intake", "Jobs", "Policy", "Redaction",
                "Redis", "ShimProtocol", "TransportSecurity", coreMetrics, deque, httpTypes, hummingbird,
                hummingbirdCore,
                logging, nioCore, nioHTTP1, nioHTTPTypes, nioHTTPTypesHTTP1, nioPosix, nioWebSocket,
            ]),

        // L5: the executables
        .executableTarget(
            name: "orchestra",
            dependencies: [
                "API", "Agents", "Audit", "AuditArchive", "Budgets", "CLinux", "Credentials", "Cryptography", "Domain",
                "Egress", "EgressServer", "Intake", "Jobs", "ModelUsage", "Policy", "Redaction", "Redis", "Sandboxing",
                "ScriptedModel", "ShimProtocol", "Supervision",
                "Telemetry", "TransportSecurity",
                "Worker", argumentParser, configuration, coreMetrics, logging, nioPosix, subprocess, systemPackage,
                unixSignals,
            ],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "orchestra-shim", dependencies: ["Shim"],
            swiftSettings: swiftSettings,
            // Seen from inside every sandbox, where there is nothing of the host's Swift.
            linkerSettings: [.unsafeFlags(["-static-executable"])]),

        // Tests: helpers, then one suite a module; the system tests start real processes.
        .target(
            name: "TestSupport",
            dependencies: ["Redis", nioCore, nioPosix, logging, subprocess, systemPackage], path: "Tests/TestSupport",
            swiftSettings: swiftSettings),
        .target(
            name: "JobsModel", dependencies: ["Domain", "Jobs"], path: "Tests/JobsModel",
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "orchestra-fuzz",
            dependencies: ["Domain", "Redaction", "Redis", "Screens", "ShimProtocol", "TestSupport", nioCore],
            path: "Tests/Fuzz",
            exclude: ["Seeds"], swiftSettings: swiftSettings),
        .target(
            name: "ConformanceSupport", dependencies: ["Domain", "Egress", "Supervision", logging],
            path: "Tests/Conformance/Support", swiftSettings: swiftSettings),
        .executableTarget(
            name: "orchestra-conformance",
            dependencies: ["ConformanceSupport", "Credentials", "Cryptography", "Domain", "ModelUsage", "Redaction"],
            path: "Tests/Conformance/Driver", swiftSettings: swiftSettings),
        .executableTarget(
            name: "orchestra-bench-baseline", path: "Tests/Benchmarks/Baseline",
            linkerSettings: [.linkedLibrary("hiredis")]),
        .executableTarget(
            name: "orchestra-bench", dependencies: ["TestSupport", "Domain", "Jobs", "Redis", "Cryptography"],
            path: "Tests/Benchmarks/Drain", swiftSettings: swiftSettings),
        .executableTarget(
            name: "orchestra-bench-agents",
            dependencies: [
                "Agents", "CLinux", "Domain", "Sandboxing", "ShimProtocol", nioPosix, logging, subprocess,
                systemPackage,
            ], path: "Tests/Benchmarks/Agents", swiftSettings: swiftSettings),
        .executableTarget(
            name: "orchestra-bench-egress",
            dependencies: [
                "CLinux", "Domain", "Egress", "EgressServer", "ShimProtocol", "TestSupport", "TransportSecurity",
                nioCore, nioPosix,
            ], path: "Tests/Benchmarks/Egress", swiftSettings: swiftSettings),
        .executableTarget(
            name: "orchestra-bench-archive", dependencies: ["AuditArchive", "Cryptography"],
            path: "Tests/Benchmarks/Archive", swiftSettings: swiftSettings),
        .executableTarget(
            name: "orchestra-bench-redaction", dependencies: ["Redaction"],
            path: "Tests/Benchmarks/Redaction", swiftSettings: swiftSettings),
        .executableTarget(
            name: "orchestra-bench-supervision", dependencies: ["CLinux", "Supervision", logging],
            path: "Tests/Benchmarks/Supervision", swiftSettings: swiftSettings),
        tests("PackageTests", ["TestSupport"]),
        tests("DomainTests", ["Domain"]),
        tests("CryptographyTests", ["Cryptography", "Credentials", "Domain"]),
        tests(
            "CredentialsTests", ["Credentials", "Cryptography", "Domain", "TestSupport", nioPosix, logging],
            exclude: ["Vectors"]),
        tests(
            "CredentialsIntegrationTests",
            ["Credentials", "Cryptography", "Domain", "Redis", "TestSupport", nioPosix, logging]),
        tests(
            "BudgetsIntegrationTests", ["Budgets", "Domain", "ModelUsage", "Redis", "TestSupport"]),
        tests("EgressTests", ["ConformanceSupport", "Domain", "Egress", "ModelUsage", "TestSupport"]),
        tests(
            "EgressServerIntegrationTests",
            [
                "CLinux", "Domain", "Egress", "EgressServer", "ShimProtocol", "TestSupport", "TransportSecurity",
                logging, nioCore, nioPosix,
            ]),
        tests(
            "EgressServerTests",
            ["CLinux", "Domain", "Egress", "EgressServer", "TransportSecurity", nioCore, nioEmbedded, nioPosix]),
        tests(
            "CommandIntegrationTests",
            [
                "Budgets", "Credentials", "Cryptography", "Domain", "Egress", "EgressServer", "Jobs", "ModelUsage",
                "Redis",
                "TestSupport", "orchestra", coreMetrics, logging,
            ]),
        tests("BudgetsTests", ["Budgets", "Domain", "ModelUsage"]),
        tests("ScriptedModelTests", ["Domain", "ModelUsage", "ScriptedModel"]),
        tests("PolicyTests", ["Policy", "Domain", "Egress", "ModelUsage", "TestSupport"]),
        tests("SupervisionTests", ["Supervision", "TestSupport", "Domain", logging]),
        tests(
            "SupervisionIntegrationTests", ["ConformanceSupport", "Domain"], exclude: ["Recordings"]),
        tests(
            "RedisTests",
            ["Domain", "Redis", "TestSupport", "TransportSecurity", nioCore, nioEmbedded, nioPosix, logging]),
        tests(
            "RedisIntegrationTests", ["Domain", "Redis", "TestSupport", "TransportSecurity", nioPosix]),
        tests(
            "TransportSecurityTests",
            ["Domain", "TransportSecurity", nioCore, nioEmbedded]),
        tests(
            "TransportSecurityIntegrationTests",
            ["Domain", "TestSupport", "TransportSecurity", nioCore, nioPosix]),
        tests("JobsTests", ["Jobs", "JobsModel", "Domain", "Redis", "Cryptography", "TestSupport"]),
        tests("IntakeTests", ["Cryptography", "Domain", "Intake", "Jobs", "JobsModel", "Policy"]),
        tests("SimulationTests", ["Domain", "Jobs", "JobsModel", "TestSupport", "Worker"]),

        tests("ModelUsageTests", ["ModelUsage", "Domain", "TestSupport"]),
        tests("ShimProtocolTests", ["ShimProtocol", "Domain"]),
        tests("ShimTests", ["Shim", "CLinux", "Domain", "Screens", "ShimProtocol", "TestSupport"]),
        tests("SandboxingTests", ["Domain", "ModelUsage", "Sandboxing", "ShimProtocol", "TestSupport"]),
        tests("TerminalsTests", ["Domain", "Terminals"]),
        tests("ScreensTests", ["Screens", "Domain", "TestSupport"], exclude: ["Recordings"]),
        tests(
            "APITests",
            [
                "API", "Audit", "Credentials", "Domain", "Jobs", "ShimProtocol", "TransportSecurity", coreMetrics,
                httpTypes, hummingbird, hummingbirdCore, logging,
                nioCore, nioEmbedded, nioHTTP1, nioHTTPTypes, nioHTTPTypesHTTP1, nioWebSocket,
            ]),
        tests(
            "CommandTests",
            [
                "API", "Agents", "CLinux", "Domain", "Egress", "EgressServer", "Jobs", "ModelUsage", "Policy",
                "Redaction",
                "Redis",
                "ScriptedModel", "ShimProtocol", "Telemetry", "TestSupport", "orchestra", argumentParser, coreMetrics,
                logging,
                systemPackage,
            ]),
        tests("TelemetryTests", ["Telemetry", "TestSupport", coreMetrics]),
        tests("RedactionTests", ["Redaction", "Domain", "TestSupport", logging]),
        tests(
            "AgentsTests",
            ["Agents", "CLinux", "Domain", "Sandboxing", "ShimProtocol", "TestSupport", logging, nioPosix]),
        tests("AgentsIntegrationTests", ["Agents", "CLinux", "Domain", "Sandboxing"]),
        tests("JobsModelTests", ["Jobs", "JobsModel", "Domain", "Cryptography", "TestSupport"]),
        tests("AuditTests", ["Audit", "Domain"]),
        tests("AuditArchiveTests", ["AuditArchive", "Cryptography", "Domain", "TestSupport"]),
        tests("WorkspacesTests", ["Workspaces", "Domain", "TestSupport"]),
        tests(
            "WorkerTests",
            [
                "Agents", "Audit", "AuditArchive", "Cryptography", "Domain", "Jobs", "JobsModel", "Intake", "Policy",
                "Redaction", "Redis",
                "Sandboxing", "Supervision", "Telemetry", "TestSupport", "Worker", nioPosix, logging,
            ]),
        tests(
            "SystemTests",
            [
                "API", "Agents", "AuditArchive", "CLinux", "Cryptography", "Domain", "Jobs", "Policy", "Redis",
                "Sandboxing", "ScriptedModel", "ShimProtocol", "Supervision", "TestSupport", "TransportSecurity",
                "Worker", coreMetrics, logging, nioPosix,
            ]),
    ],
    swiftLanguageModes: [.v6]
)
