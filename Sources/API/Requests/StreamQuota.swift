internal import CoreMetrics
internal import Domain
internal import Synchronization

/// The places of open streams, WebSockets and messages, bounded for each workspace and each agent (see `StreamPlaces`).
package final class StreamQuota: Sendable {
    private let places: Mutex<StreamPlaces>
    private let gauge: Gauge

    /// `limit` and `agentLimit` bound the streams of a workspace and of an agent, the others their messages.
    init(
        limit: Int, agentLimit: Int, messageLimit: Int = 64, agentMessageLimit: Int = 16, metrics: any MetricsFactory
    ) {
        self.places = Mutex(
            StreamPlaces(
                workspace: StreamPlaces.Limits(streams: limit, messages: messageLimit),
                agent: StreamPlaces.Limits(streams: agentLimit, messages: agentMessageLimit)))
        self.gauge = Gauge(label: "orchestra_api_streams", factory: metrics)
    }

    /// A place that is given back when its ticket is released; nil when there is none.
    func enter(_ kind: StreamPlaces.Kind, _ workspace: WorkspaceID, _ agent: JobID) -> StreamTicket? {
        let isTaken = self.places.withLock { places in
            guard places.enter(kind, workspace, agent) else { return false }
            self.gauge.record(places.streams)
            return true
        }
        return isTaken ? StreamTicket { self.leave(kind, workspace, agent) } : nil
    }

    private func leave(_ kind: StreamPlaces.Kind, _ workspace: WorkspaceID, _ agent: JobID) {
        self.places.withLock { places in
            places.leave(kind, workspace, agent)
            self.gauge.record(places.streams)
        }
    }
}
