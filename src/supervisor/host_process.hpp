#pragma once
// The callback host as the supervisor sees it: started, and once more if it dies; talked to without ever blocking.

#include <sys/types.h>

#include <deque>
#include <optional>
#include <string>

#include <fd.hpp>
#include <link.hpp>

#include "supervisor.hpp"

namespace poster {

class HostProcess {
public:
    explicit HostProcess(const SupervisedRun& run);

    void start(); // a failure to fork leaves it dead
    bool alive() const { return pid_ > 0; }
    bool prepared() const { return prepared_; }
    pid_t pid() const { return pid_; }
    int link() const { return link_.get(); }
    const SharedPage* page() const { return page_; }

    void tell(LinkKind kind, int number = 0, std::string text = {});
    bool send_unsent(); // false: its queue is full, as when it is stopped; try again soon
    Receive hear(LinkMessage& message);
    // It has died, with this wait status. Starts it again, the first time, and tells it what its predecessor had been
    // told. False: it stays dead.
    bool died(int status);
    void kill();
    void forget() { pid_ = 0; }                     // it has ended as it should
    std::optional<std::string> sealed_spec() const; // what a prepare hook made of the spec

private:
    const SupervisedRun& run_;
    pid_t pid_ = 0;
    int starts_ = 0;
    bool prepared_ = false;
    std::deque<LinkMessage> unsent_;
    Fd link_, sealed_;
    SharedPage* page_ = nullptr;
    std::optional<int> told_started_;
    bool told_not_started_ = false;
    std::optional<std::string> told_ended_;
};

} // namespace poster
