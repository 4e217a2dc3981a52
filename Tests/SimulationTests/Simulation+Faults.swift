/// What goes wrong, and when.
extension Simulation {
    func scheduleFaults() {
        for _ in 0..<self.random(0...6) {
            let time = self.random(1000...self.options.faultyTime)
            let node = Int(self.random(0...UInt64(Self.nodeCount - 1)))
            switch self.random(0...9) {
            case 0: self.schedule(.vanish(node), in: time)
            case 1...3: self.schedule(.kill(node), in: time)
            case 4...6: self.schedule(.suspend(node, self.random(100...15_000)), in: time)
            case 7: self.schedule(.drain(node), in: time)
            case 8:
                let by = Int64(self.random(1...300_000))
                self.schedule(.setClock(lanes: self.someLanes, self.random(0...1) == 0 ? by : -by), in: time)
            default: self.schedule(.stall(lanes: self.someLanes, self.random(100...12_000)), in: time)
            }
        }
        if self.queues.count > 1 { self.scheduleLaneFaults() }
        guard self.options.losesData else { return }
        let time = self.random(1000...self.options.faultyTime)
        let lanes = self.someLanes
        if self.random(0...1) == 0 {
            self.schedule(.empty(lanes: lanes), in: time)
        } else {
            self.schedule(.snapshot(lanes: lanes), in: time - self.random(1...1000))
            self.schedule(.setBack(lanes: lanes), in: time)
        }
    }

    /// Faults that keep one lane, or one node, from claiming for a while.
    private func scheduleLaneFaults() {
        for _ in 0..<self.random(0...8) {
            let time = self.random(1000...self.options.faultyTime)
            let node = Int(self.random(0...UInt64(Self.nodeCount - 1)))
            let lane = self.oneLane
            switch self.random(0...3) {
            case 0: self.schedule(.pause(node, self.random(100...8000)), in: time)
            case 1: self.schedule(.stall(lanes: lane, self.random(3000...12_000)), in: time)
            default:
                self.schedule(
                    .endConsumer(node: node, lane: lane.lowerBound, restartAfter: self.random(100...8000)), in: time)
            }
        }
    }

    private var oneLane: Range<Int> {
        let lane = Int(self.random(0...UInt64(self.queues.count - 1)))
        return lane..<lane + 1
    }

    /// One lane or all.
    private var someLanes: Range<Int> {
        self.queues.count == 1 || self.random(0...1) == 0 ? self.queues.indices : self.oneLane
    }
}
