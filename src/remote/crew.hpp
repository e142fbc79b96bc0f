#pragma once
// A few threads that share a heap of jobs. Each has a tool of its own, such as a connection; a job may add others.

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace poster {

// Runs `work` in this thread and in as many others, so that there are `threads` of them, or as many as can be had.
template <typename Work>
void work_together(int threads, const Work& work) {
    constexpr int kMost = 64;
    std::vector<std::jthread> others;
    for (int i = 1; i < std::min(threads, kMost); ++i) {
        try {
            others.emplace_back(work);
        } catch (const std::system_error&) {
            break; // a limit of processes: the work is done by fewer
        }
    }
    work();
}

template <typename Tool>
class Crew {
public:
    using Job = std::function<void(Tool&)>; // does not throw

    void add(Job job) {
        const std::lock_guard lock{mutex_};
        jobs_.push_back(std::move(job));
        changed_.notify_one();
    }
    // Before those that wait.
    void add_first(const Job& job, std::size_t times) {
        const std::lock_guard lock{mutex_};
        for (std::size_t i = 0; i < times; ++i) jobs_.push_front(job);
        changed_.notify_all();
    }
    // The jobs that have not begun are dropped.
    void stop() {
        const std::lock_guard lock{mutex_};
        jobs_.clear();
        stopped_ = true;
        changed_.notify_all();
    }
    bool stopped() const {
        const std::lock_guard lock{mutex_};
        return stopped_;
    }

    // Returns when nothing is left to do.
    void run(int threads, const std::function<Tool()>& make_tool) {
        work_together(threads, [&] { work(make_tool()); });
    }

private:
    void work(Tool tool) {
        std::unique_lock lock{mutex_};
        for (;;) {
            changed_.wait(lock, [this] { return !jobs_.empty() || busy_ == 0; });
            if (jobs_.empty()) break;
            Job job = std::move(jobs_.front());
            jobs_.pop_front();
            ++busy_;
            lock.unlock();
            job(tool);
            job = nullptr; // what it holds is let go of without the lock
            lock.lock();
            --busy_;
            if (stopped_) jobs_.clear();
            changed_.notify_all();
        }
    }

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> jobs_;
    int busy_ = 0;
    bool stopped_ = false;
};

} // namespace poster
