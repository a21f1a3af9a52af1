//! Rule files about registers and configuration space.

use dmarig_abi::completion::DMA_STATUS_SUCCESS;
use dmarig_abi::descriptor::DMA_OP_FILL;
use dmarig_abi::registers::{DUT_ID_VALUE, REG_ID};
use vfio_user::client::read_payload;
use vfio_user::message::Command;

use super::driver::Driver;

fn id(driver: &mut Driver) -> u32 {
    let bytes = driver.qemu.read(&mut driver.bench, 0, REG_ID, 4);
    u32::from_le_bytes(bytes.try_into().expect("4 bytes"))
}

#[test]
fn one_read_gives_ones() {
    for (rules, third) in [(Some("registers-all-ones"), u32::MAX), (None, DUT_ID_VALUE)] {
        let mut driver = Driver::new(rules);
        let seen = [(); 4].map(|()| id(&mut driver));
        assert_eq!(seen, [DUT_ID_VALUE, DUT_ID_VALUE, third, DUT_ID_VALUE]);
    }
}

#[test]
fn stuck_bit_hides_success() {
    let mut driver = Driver::new(Some("register-stuck"));
    driver.command(DMA_OP_FILL, 0, 0x2000, 64);
    assert_eq!(driver.status(), (DMA_STATUS_SUCCESS & !1, false));
    assert!(
        driver.unfilled(0x2000, 64).is_empty(),
        "it was done all the same"
    );
}

#[test]
fn lost_doorbell_begins_nothing() {
    for (rules, status) in [(Some("doorbell-lost"), 0), (None, DMA_STATUS_SUCCESS)] {
        let mut driver = Driver::new(rules);
        driver.command(DMA_OP_FILL, 0, 0x2000, 64);
        assert_eq!(driver.status(), (status, false));
        driver.command(DMA_OP_FILL, 0, 0x2000, 64);
        assert_eq!(driver.status(), (DMA_STATUS_SUCCESS, false));
    }
}

/// Whether an answer lies in the mock QEMU's socket.
fn is_answered(driver: &Driver) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(&driver.qemu.client, PollFlags::IN)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&at_once)).expect("poll") > 0
}

#[test]
fn slow_register_holds_its_answer_and_nothing_else() {
    let mut driver = Driver::new(Some("register-slow"));
    // The first is slow. Its answer is not awaited, but looked for.
    let payload = read_payload(0, REG_ID, 4);
    let send = |driver: &mut Driver| {
        let sent = driver.qemu.client.send(Command::REGION_READ, &payload, &[]);
        sent.expect("send");
        driver.bench.pump();
    };
    send(&mut driver);
    assert!(!is_answered(&driver));
    driver.fired();
    driver.pass(299_000);
    assert!(
        !is_answered(&driver),
        "the control socket was served meanwhile"
    );
    driver.pass(2_000);
    assert!(is_answered(&driver));
    driver.qemu.client.receive().expect("the answer");
    for _ in 0..9 {
        send(&mut driver);
        assert!(is_answered(&driver));
        driver.qemu.client.receive().expect("an answer");
    }
}

#[test]
fn chain_of_capabilities_leads_in_a_circle() {
    let pointers = |rules| {
        let mut driver = Driver::new(rules);
        let config = driver.qemu.read_config(&mut driver.bench, 0, 256);
        let mut at = usize::from(config[0x34]);
        let mut seen = Vec::new();
        while at != 0 && seen.len() < 20 {
            seen.push(at);
            at = usize::from(config[at + 1]);
        }
        seen
    };
    assert!(pointers(None).len() < 10);
    assert_eq!(pointers(Some("capability-chain-loops")), [0x40; 20]);
}
