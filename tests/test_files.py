"""NIfTI maps and Pulseq sequences: written, read by the packages whose formats they are, and read back."""

import numpy as np
import pytest

nibabel = pytest.importorskip("nibabel")
pp = pytest.importorskip("pypulseq")

import epgnumba  # noqa: E402
from epgnumba.files import read_map, read_pulseq, write_map, write_pulseq  # noqa: E402
from epgnumba.sequence import FSE, MRF, Inversion, Pulse, Readout, Shift, Spoil, Wait, t2_preparation  # noqa: E402

RNG = np.random.default_rng(3)
TRAINS = {
    "fse": FSE(RNG.uniform(60, 180, 8), ESP=8.0, phases=RNG.uniform(0, 360, 8)),
    "negative": FSE([-150.0, 120, -90], ESP=9.0),
    "mrf": MRF(
        RNG.uniform(5, 70, 20), TR=RNG.integers(1000, 1500, 20) / 100, TI=20.0, TE=3.0, phases=RNG.uniform(0, 360, 20)
    ),
    "prepared": epgnumba.EventSequence(
        lambda p: [*t2_preparation(40.0), Wait(5.0), *[Pulse(20), Wait(4.0), Readout(), Wait(8.0), Shift(1)] * 3]
    ),
    "balanced": MRF(RNG.uniform(5, 70, 9), TR=8.0, TE=4.0, inversion=None, balanced=True),
}
TISSUE = {"T1": 900.0, "T2": 70.0}


def isochromats(sequence, T1, T2, count=256):
    """Signal of what a Pulseq file says, block by block: pulses are rotations at their middles, gradients of z turn
    isochromats over one cycle of the smallest, those of x crush, relaxation is exact. No EPG, nor its reader.
    """
    place = (np.arange(count) + 0.5) / count
    M = np.zeros((3, count))
    M[2] = 1
    now, signal = 0.0, []

    def relax(until):
        nonlocal now, M
        e1, e2 = np.exp(-(until - now) * 1e3 / T1), np.exp(-(until - now) * 1e3 / T2)
        M, now = np.array([M[0] * e2, M[1] * e2, 1 + (M[2] - 1) * e1]), until

    unit = float(sequence.definitions["epgnumba_cycles_per_m"])
    start = 0.0
    for key, duration in sequence.block_durations.items():
        block = sequence.get_block(key)
        if block.rf is not None:
            relax(start + block.rf.delay + block.rf.shape_dur / 2)
            angle = 2 * np.pi * np.trapezoid(np.abs(block.rf.signal), block.rf.t)
            if block.rf.use == "inversion":
                M = np.array([0 * M[0], 0 * M[1], 0 * M[2] - M[2].mean()])
            else:
                p = block.rf.phase_offset + np.angle(block.rf.signal[0])
                axis = np.array([np.cos(p), np.sin(p), 0])
                M = (
                    M * np.cos(angle)
                    + np.cross(axis, M.T).T * np.sin(angle)
                    + np.outer(axis, axis @ M) * (1 - np.cos(angle))
                )
        if block.adc is not None:
            relax(start + block.adc.delay + block.adc.num_samples * block.adc.dwell / 2)
            signal.append((M[0] + 1j * M[1]).mean() * np.exp(-1j * block.adc.phase_offset))
        if block.gz is not None:
            turned = (M[0] + 1j * M[1]) * np.exp(2j * np.pi * place * block.gz.area / unit)
            M = np.array([turned.real, turned.imag, M[2]])
        if block.gx is not None:
            M = np.array([0 * M[0], 0 * M[1], 0 * M[2] + M[2].mean()])
        start += duration
    return np.array(signal)


@pytest.mark.parametrize("name", TRAINS)
def test_sequences_are_written_and_read_back(tmp_path, name):
    train, path = TRAINS[name], tmp_path / "train.seq"
    written = write_pulseq(train, path, samples=5)
    expected = epgnumba.simulate(train, **TISSUE, B1=0.9, B0=4.0)
    np.testing.assert_allclose(epgnumba.simulate(written, **TISSUE, B1=0.9, B0=4.0), expected, atol=2e-5)
    np.testing.assert_allclose(epgnumba.simulate(read_pulseq(path), **TISSUE, B1=0.9, B0=4.0), expected, atol=2e-5)
    scanner = pp.Sequence()
    scanner.read(str(path))
    fine, errors = scanner.check_timing()
    assert fine, errors
    np.testing.assert_allclose(isochromats(scanner, **TISSUE), epgnumba.simulate(train, **TISSUE), atol=2e-5)


def test_a_steady_sequence_is_written_as_often_as_asked(tmp_path):
    train = FSE([120.0, 90, 60], ESP=8.0, TR=200.0)
    written = write_pulseq(train, tmp_path / "train.seq", repetitions=30)
    signal = epgnumba.simulate(written, **TISSUE)
    np.testing.assert_allclose(signal[-3:], epgnumba.simulate(train, **TISSUE), atol=2e-5)
    assert abs(signal[:3] - signal[-3:]).max() > 0.1


def test_a_designed_train_is_rounded_if_asked(tmp_path):
    train = FSE([120.0, 90], ESP=8.0037)
    with pytest.raises(ValueError, match="4.00185 ms leave .* round_times=True rounds"):
        write_pulseq(train, tmp_path / "train.seq")
    written = write_pulseq(train, tmp_path / "train.seq", round_times=True)
    expected = epgnumba.simulate(FSE([120.0, 90], ESP=8.0), **TISSUE)
    np.testing.assert_allclose(epgnumba.simulate(written, **TISSUE), expected, atol=2e-5)


REFUSED = {
    "no time for pulse and samples": (MRF([10.0, 20], TR=12, TI=20), {}, "after Pulse.* 0 ms leave -0.5"),
    "no time for gradients": (FSE([180.0], ESP=2.6), {}, "of which gradients take"),
    "advances": (epgnumba.sequence.SPGR(10.0, TR=10.0, TE=3.0, spoiling="rf"), {}, "phases advance"),
    "does not repeat": (FSE([180.0], ESP=8), {"repetitions": 2}, "repetitions=2 is not allowed"),
    "half an inversion": (MRF([10.0], TR=12, TI=20, TE=3, inversion=0.5), {}, "efficiency is not 1"),
    "samples": (FSE([180.0], ESP=8), {"samples": 0}, "samples=0 is not allowed"),
    "area": (FSE([180.0], ESP=8), {"gradient_area": -1}, "gradient_area=-1 is not allowed"),
    "wait first": (epgnumba.EventSequence(lambda p: [Wait(1.0), Pulse(90), Readout()]), {}, "begins with a wait"),
    "no angle": (epgnumba.EventSequence(lambda p: [Pulse(0.0), Wait(5.0), Readout()]), {}, "0 degrees"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_written_is_refused(tmp_path, name):
    train, options, told = REFUSED[name]
    with pytest.raises((TypeError, ValueError), match=told):
        write_pulseq(train, tmp_path / "train.seq", **options)
    assert not (tmp_path / "train.seq").exists()


def test_files_of_others_are_refused(tmp_path):
    other = pp.Sequence()
    other.add_block(pp.make_block_pulse(np.pi / 2, duration=1e-3, use="excitation"))
    other.write(str(tmp_path / "other.seq"))
    with pytest.raises(ValueError, match="not written by epgnumba"):
        read_pulseq(tmp_path / "other.seq")
    (tmp_path / "text.seq").write_text("no sequence")
    with pytest.raises(ValueError, match="text.seq"):
        read_pulseq(tmp_path / "text.seq")
    with pytest.raises(ValueError, match="cannot be read"):
        read_pulseq(tmp_path / "none.seq")


def of_others(path, *pulses, gradients=()):
    """A file of pulses, each followed by a sample, that says what an order is."""
    made = pp.Sequence()
    for pulse in pulses:
        made.add_block(pulse, *gradients)
        made.add_block(pp.make_delay(4e-3))
        made.add_block(pp.make_adc(num_samples=1, dwell=1e-5, delay=1e-5))
    made.set_definition("epgnumba_cycles_per_m", 1000.0)
    made.write(str(path))
    return path


def arbitrary(shape, angle, use="excitation"):
    return pp.make_arbitrary_rf(signal=shape, flip_angle=np.deg2rad(angle), use=use)


def test_shaped_pulses_have_the_angle_that_they_were_made_for(tmp_path):
    shape = np.sin(np.linspace(0, 7, 500)) * np.linspace(0, 1, 500)
    waves = [np.ones(10), -1j * shape, np.hanning(800) + 0.1]
    made = [
        pp.make_sinc_pulse(np.deg2rad(70), duration=2e-3, time_bw_product=6, use="excitation", phase_offset=0.4),
        pp.make_gauss_pulse(np.deg2rad(130), duration=3e-3, use="refocusing"),
        pp.make_block_pulse(np.deg2rad(33), duration=1e-3, use="saturation", phase_offset=2.0),
        pp.make_adiabatic_pulse("hypsec", use="inversion"),
        *(arbitrary(wave, 40.0, "other") for wave in waves),
    ]
    events = list(read_pulseq(of_others(tmp_path / "other.seq", *made)).events())
    pulses = [one for one in events if isinstance(one, Pulse)]
    assert [one.kind for one in pulses] == ["excitation", "refocusing", "saturation", "other", "other", "other"]
    np.testing.assert_allclose([one.flip for one in pulses], [70, 130, 33, 40, 40, 40], rtol=2e-5)
    assert sum(isinstance(one, Inversion) for one in events) == 1

    def turned(pulse):
        """The direction that small rotations, one after another, turn magnetisation to."""
        M, step = np.array([0.0, 0, 1]), pulse.t[1] - pulse.t[0]
        for B in pulse.signal * np.exp(1j * pulse.phase_offset):
            angle, (x, y) = 2 * np.pi * abs(B) * step, (np.real(B) / abs(B), np.imag(B) / abs(B)) if B else (1, 0)
            axis = np.array([x, y, 0])
            M = M * np.cos(angle) + np.cross(axis, M) * np.sin(angle) + axis * (axis @ M) * (1 - np.cos(angle))
        return M

    for pulse, one in zip([made[0], made[1], *made[4:]], [*pulses[:2], *pulses[3:]], strict=True):
        flip, phase = np.deg2rad(one.flip), np.deg2rad(one.phase)
        expected = [np.sin(flip) * np.sin(phase), -np.sin(flip) * np.cos(phase), np.cos(flip)]
        np.testing.assert_allclose(turned(pulse), expected, atol=1e-4)


def test_pulses_without_a_flip_angle_are_refused(tmp_path):
    swept = arbitrary(np.exp(1j * np.arange(100) / 50), 60.0)
    off = pp.make_sinc_pulse(1.0, duration=2e-3, use="excitation", freq_offset=200.0)
    plain = pp.make_sinc_pulse(1.0, duration=2e-3, use="excitation")
    selecting = (pp.make_trapezoid("z", area=1000.0),)
    for pulse, gradients, told in (
        (swept, (), r"phase of a pulse \(excitation\) changes"), (off, (), "off resonance, by 200 Hz"),
        (plain, selecting, "a gradient of z is none"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=told):
            read_pulseq(of_others(tmp_path / "other.seq", pulse, gradients=gradients))


def test_all_events_come_back(tmp_path):
    events = [
        Inversion(), Spoil(), Wait(20.0), Pulse(30.0, 40.0, "preparation"), Wait(3.0), Shift(-2), Readout(50.0),
        Wait(9.0), Shift(3), Spoil(), Pulse(70.0, 20.0, "mine"), Wait(5.0), Readout(),
    ]  # fmt: skip
    written = write_pulseq(epgnumba.EventSequence(lambda p: events), tmp_path / "train.seq")
    found = written.events()
    names = "Inversion Wait Spoil Pulse Wait Shift Readout Wait Shift Spoil Pulse Wait Readout"
    assert " ".join(type(one).__name__ for one in found) == names
    assert [one.orders for one in found if isinstance(one, Shift)] == [-2, 3]
    assert [one.kind for one in found if isinstance(one, Pulse)] == ["preparation", "other"]
    np.testing.assert_allclose([one.duration for one in found if isinstance(one, Wait)], [20, 3, 9, 5])


def test_maps(tmp_path):
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    for array in (RNG.random((3, 4, 2)), RNG.random((3, 4)) > 0.5, RNG.random((2, 2, 2, 5)).astype(np.float32)):
        write_map(tmp_path / "map.nii.gz", array, affine)
        found, where = read_map(tmp_path / "map.nii.gz")
        np.testing.assert_array_equal(found, array)
        np.testing.assert_array_equal(where, affine)
        assert nibabel.load(tmp_path / "map.nii.gz").header.get_xyzt_units()[0] == "mm"
