#pragma once
// .poster/queues/GROUP.jsonl: the launcher of a multirun, and a line for each run that waits for it. It is there until
// they all have ended; what a launcher leaves behind that died before tells recovery whose turn never comes.

#include <string>

#include <fd.hpp>
#include <store.hpp>

namespace poster {

class Queue {
public:
    Queue(const Store& store, const std::string& group); // throws Error
    Queue(const Queue&) = delete;
    Queue& operator=(const Queue&) = delete;
    void add(const std::string& run); // throws Error
    void remove();                    // every run has ended

private:
    fs::path file_;
    Fd fd_;
};

// The runs that waited for a launcher of this host which is dead get their outcome.
void settle_abandoned_queues(const Store& store);

} // namespace poster
